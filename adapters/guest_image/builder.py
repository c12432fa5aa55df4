"""Has an image ready in a cache folder, built at most once for a recipe."""

import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from adapters.guest_image import boot_files, disk, root_folder
from adapters.guest_image.full import FULL
from adapters.guest_image.lite import LITE
from adapters.guest_image.recipe import Recipe
from adapters.guest_image.root_folder import ImageNotBuilt, run_step

__all__ = ["RECIPES", "GuestImage", "ImageNotBuilt", "ensure_built", "find_built"]

RECIPES = {recipe.name: recipe for recipe in (LITE, FULL)}
_ABOUT = "about.json"


class GuestImage(msgspec.Struct, frozen=True):
    """An image that is ready: what a guest's disk lies upon, and what it is booted with."""

    name: str
    key: str
    """Names the recipe; also the name of the folder that holds the files."""
    folder: Path

    @property
    def disk(self) -> Path:
        """The qcow2 below every guest's own disk. Never written again once it is built."""
        return self.folder / "disk.qcow2"

    @property
    def kernel(self) -> Path:
        """The kernel, handed to QEMU directly."""
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        """The initrd, handed to QEMU directly."""
        return self.folder / "initrd"

    def disk_sha256(self) -> str:
        """Return the SHA-256 of the disk, in hexadecimal."""
        with self.disk.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class _About(msgspec.Struct, frozen=True):
    built_in_s: float
    size_bytes: int
    """On disk, without the holes in the kernel."""
    packages: tuple[str, ...]


def ensure_built(
    images: Path, recipe: Recipe = LITE, *, on_progress: Callable[[str], None] = lambda _: None
) -> GuestImage:
    """Return an image from the folder ``images``; build it there first if it is missing.

    Builders at the same time wait for one another. Needs root, or sudo that asks for no password.
    ``on_progress`` is told what goes on. Raises ImageNotBuilt.
    """
    image = find_built(images, recipe)
    if image is not None:
        return image
    images.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        on_progress(f"building the image {recipe.name} as root, by sudo")
        # sudo forgets where our packages are, so it is told.
        packages = f"PYTHONPATH={os.pathsep.join(sys.path)}"
        program = (sys.executable, "-m", "adapters.guest_image.builder", str(images.resolve()), recipe.name)
        run_step("sudo", "-n", "env", packages, *program)
    else:
        with _alone(images / ".lock"):
            if find_built(images, recipe) is None:
                _build(images, recipe, on_progress)
    image = find_built(images, recipe)
    assert image is not None, "a build that did not fail leaves an image"
    return image


def find_built(images: Path, recipe: Recipe = LITE) -> GuestImage | None:
    """Return the image of a recipe as it is today if it was built in this folder."""
    folder = images / recipe.key
    return GuestImage(name=recipe.name, key=recipe.key, folder=folder) if (folder / _ABOUT).is_file() else None


def _build(images: Path, recipe: Recipe, on_progress: Callable[[str], None]) -> None:
    """Build in a folder beside the final one, and rename it only when it is whole."""
    began = time.monotonic()
    final = images / recipe.key
    for leftover in images.glob(".building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=images))
    try:
        root, kernel_root, done = work / "root", work / "kernel", work / "done"
        kernel_root.mkdir()
        done.mkdir()
        on_progress("unpacking Debian packages")
        root_folder.unpack_packages(recipe, root, kernel_root)
        root_folder.make_ours(recipe, root, kernel_root)
        on_progress("writing kernel, initrd and disk")
        boot_files.write_kernel(kernel_root, done / "kernel")
        boot_files.write_initrd(kernel_root, root, done / "initrd")
        disk.write_disk(root, work / "disk.raw", done / "disk.qcow2", recipe.file_system_mib)
        about = _About(
            built_in_s=round(time.monotonic() - began, 1),
            size_bytes=sum(path.stat().st_blocks * 512 for path in done.iterdir()),
            packages=_package_versions(root),
        )
        (done / _ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about)))
        for path in (*done.iterdir(), done):
            path.chmod(0o755 if path.is_dir() else 0o644)
        done.rename(final)
        on_progress(f"image {recipe.name} built in {about.built_in_s} s, {about.size_bytes / 1e6:.0f} MB")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _package_versions(root: Path) -> tuple[str, ...]:
    status = (root / "var/lib/dpkg/status").read_text()
    entries = (dict(_fields(entry)) for entry in status.split("\n\n") if entry.strip())
    return tuple(f"{entry['Package']} {entry['Version']}" for entry in entries)


def _fields(entry: str) -> Iterator[tuple[str, str]]:
    for line in entry.splitlines():
        name, colon, text = line.partition(": ")
        if colon and not line.startswith(" "):
            yield name, text


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until nobody else builds in this folder; the kernel frees the lock of a builder that died."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    ensure_built(Path(sys.argv[1]), RECIPES[sys.argv[2]], on_progress=lambda line: print(line, file=sys.stderr))  # noqa: T201
