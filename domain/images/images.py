"""The images that guests can start from, and which hosts have them."""

import re

import msgspec

from domain.deciding import NOTHING, AggregateRef, Decision, Fold, recorded_in
from domain.errors import Invalid, NotFound, Refusal
from domain.events import Event
from domain.ids import IMAGES_STREAM, HostId
from domain.images.commands import RegisterImage
from domain.images.events import Boots, ImageBrought, ImageRegistered, ImageRetired, UserData
from domain.time import Instant

LITE = "debian-12-lite"
"""The image that every host has: it is built where one is started."""
IMAGES_MAX = 200
"""How many are offered at once."""
DISK_GB_MAX = 1024
"""Of what a disk may be that others lie upon."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", re.ASCII)


class ImageInUse(Refusal):
    """A template starts it, or would start it where another is missing."""

    code = "image_in_use"
    sentence = "a template names this image"


class Image(msgspec.Struct, frozen=True):
    """One image; sizes in GiB and bytes."""

    name: str
    key: str
    """What its files are found by on a host; "": by what each host has built itself."""
    boots: Boots
    user_data: UserData
    disk_gb_min: int
    size_bytes: int
    sha256: str
    registered_at: Instant
    host_ids: frozenset[HostId] = frozenset()
    """Hosts that have its files; none is recorded of the lite one, which all have."""

    @property
    def ships(self) -> bool:
        """Return whether it is the lite one, which nobody registered and nobody can remove."""
        return self.name == LITE

    def is_on(self, host_id: HostId) -> bool:
        """Return whether this host has it."""
        return self.ships or host_id in self.host_ids


class Images(msgspec.Struct, frozen=True):
    """All images on offer but the lite one, which needs no registration."""

    by_name: dict[str, Image] = {}

    def on_offer(self) -> tuple[Image, ...]:
        """Return all images that guests can start from, the lite one first."""
        return _LITE, *self.by_name.values()

    def find(self, name: str) -> Image | None:
        """Return an image on offer; None: there is none of this name."""
        return _LITE if name == LITE else self.by_name.get(name)

    def on_some_host(self, name: str) -> bool:
        """Return whether a guest can start from it somewhere."""
        image = self.find(name)
        return image is not None and (image.ships or bool(image.host_ids))

    def on_host(self, name: str, host_id: HostId) -> bool:
        """Return whether this host has it."""
        image = self.find(name)
        return image is not None and image.is_on(host_id)


_LITE = Image(LITE, "", "kernel", "script", 1, 0, "", Instant(0))


def evolve(images: Images, event: Event) -> Images:
    """Return the images after an event of their stream."""
    match event:
        case ImageRegistered():
            image = Image(
                name=event.name,
                key=event.key,
                boots=event.boots,
                user_data=event.user_data,
                disk_gb_min=event.disk_gb_min,
                size_bytes=event.size_bytes,
                sha256=event.sha256,
                registered_at=event.at,
            )
        case ImageBrought():
            known = images.by_name.get(event.name)
            if known is None or known.key != event.key:
                return images
            image = msgspec.structs.replace(known, host_ids=known.host_ids | {event.host_id})
        case ImageRetired():
            return Images({name: image for name, image in images.by_name.items() if name != event.name})
        case _:
            return images
    return Images({**images.by_name, image.name: image})


IMAGES: AggregateRef[Images] = AggregateRef(IMAGES_STREAM, Fold(initial=Images(), evolve=evolve))


def wrong_image_name(name: str) -> str | None:
    """Return why a name cannot be an image's or a template's, None where it can."""
    if _NAME.fullmatch(name):
        return None
    return "must be 1 to 63 of a-z, 0-9, dots and hyphens, with a letter or digit at either end"


def register(images: Images, command: RegisterImage, now: Instant) -> Decision:
    """Decide to offer an image; nothing where all of it is known. Raises Invalid."""
    if wrong := wrong_image_name(command.name):
        raise Invalid(fields={"name": wrong})
    if command.name == LITE:
        raise Invalid(fields={"name": "is that of the image that every host builds itself"})
    if not 1 <= command.disk_gb_min <= DISK_GB_MAX:
        raise Invalid(fields={"file": f"must have a disk of 1 to {DISK_GB_MAX} GiB"})
    known = images.by_name.get(command.name)
    if known is None and len(images.by_name) >= IMAGES_MAX:
        raise Invalid(fields={"name": f"there are {IMAGES_MAX} images already: remove one"})
    facts = ("key", "boots", "user_data", "disk_gb_min", "size_bytes", "sha256")
    same = known is not None and all(getattr(known, fact) == getattr(command, fact) for fact in facts)
    registered = ImageRegistered(**{fact: getattr(command, fact) for fact in ("name", *facts)}, at=now)
    there = known.host_ids if known is not None and same else frozenset()
    brought = (ImageBrought(host_id, command.name, command.key) for host_id in command.host_ids if host_id not in there)
    return recorded_in(IMAGES_STREAM, *(() if same else (registered,)), *brought)


def bring(images: Images, name: str, host_id: HostId) -> Decision:
    """Decide that a host has the files of an image; nothing where that is known, or it is not on offer any more."""
    image = images.by_name.get(name)
    if image is None:
        return NOTHING
    return recorded_in(IMAGES_STREAM, *(() if host_id in image.host_ids else (ImageBrought(host_id, name, image.key),)))


def retire(images: Images, name: str, named: frozenset[str], now: Instant) -> Decision:
    """Decide to offer an image no longer. ``named``: by templates of the service. Raises NotFound or ImageInUse."""
    if name not in images.by_name:
        raise NotFound
    if name in named:
        raise ImageInUse(image=name)
    return recorded_in(IMAGES_STREAM, ImageRetired(name, now))
