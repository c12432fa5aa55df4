"""The files of images in a home folder: built, brought, removed."""

import time
from pathlib import Path

from adapters.guest_image.builder import RECIPES, ensure_built
from adapters.guest_image.registered import BroughtImage, ImageRefused, bring, discard
from api.application.settings import Settings
from api.bootstrap.hosts import OnProgress, host_id_of, made_folder
from domain.ids import HostId
from domain.images.commands import RegisterImage
from domain.images.images import LITE

__all__ = ["BUILDABLE", "ImageRefused", "brought_image", "built_image", "discard_files"]

LEFT_ALONE_S = 3600
"""How long files stay that no image on offer has: somebody may be about to register them."""
BUILDABLE = tuple(name for name in RECIPES if name != LITE)
"""Images that are built from packages on demand."""


def built_image(settings: Settings, name: str, on_progress: OnProgress) -> RegisterImage:
    """Build an image from packages, unless that is done, and return it as it is registered. Raises ImageNotBuilt."""
    recipe = RECIPES[name]
    images = images_folder(settings)
    image = ensure_built(images, recipe, on_progress=on_progress)
    return RegisterImage(
        name=name,
        key=image.key,
        boots="kernel",
        user_data="cloud-init",
        disk_gb_min=-(-recipe.file_system_mib // 1024),
        size_bytes=image.disk.stat().st_size,
        sha256=image.disk_sha256(),
        host_ids=hosts_here(settings),
    )


def brought_image(
    settings: Settings, name: str, file: Path, sha256: str | None, on_progress: OnProgress
) -> RegisterImage:
    """Copy an image that somebody made, with cloud-init, and return it as it is registered. Raises ImageRefused."""
    brought: BroughtImage = bring(images_folder(settings), name, file, sha256=sha256, on_progress=on_progress)
    return RegisterImage(
        name=name,
        key=brought.key,
        boots="loader",
        user_data="cloud-init",
        disk_gb_min=brought.disk_gb_min,
        size_bytes=brought.size_bytes,
        sha256=brought.sha256,
        host_ids=hosts_here(settings),
    )


def discard_files(settings: Settings, key: str, registered: frozenset[str]) -> bool:
    """Remove the files of an image unless a guest's disk lies upon them; return whether they are gone.

    Those go as well that guests lay upon when their image was removed. ``registered``: keys of images on offer.
    """
    home, images = settings.home_folder, images_folder(settings)
    guests = (home / "host" / "guests", *(home / "guests").glob("*"))

    def is_used(key: str) -> bool:
        return any(_text(file) == key for folder in guests for file in folder.glob("*/image"))

    before = time.time() - LEFT_ALONE_S
    old = (about.parent.name for about in images.glob("*/about.json") if about.parent.stat().st_mtime < before)
    retired = {name for name in old if not name.startswith(f"{LITE}-")}
    return key not in discard(images, {key, *retired} - registered, is_used)


def images_folder(settings: Settings) -> Path:
    """Return the folder of images of a home folder, made where it is missing; everybody may read it."""
    folder = made_folder(settings.home_folder) / "images"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    return folder


def hosts_here(settings: Settings) -> tuple[HostId, ...]:
    """Return the hosts of these settings, which all have the images of the home folder."""
    return tuple(host_id_of(settings.home_folder, uri) for uri in settings.compute_uris)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:  # Its guest was removed just now.
        return ""
