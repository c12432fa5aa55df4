"""Where a host keeps the files of its guests, as we see them and as libvirt sees them."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec

from domain.ids import LedgerId, VpsId


class HostFolders(msgspec.Struct, frozen=True):
    """Folders of a host on this machine. libvirtd may live in another mount namespace: each has two names."""

    guests: Path
    """A folder a guest, named by its VPS: disk, seed, console log."""
    images: Path
    """A folder an image, named by its key: ``disk.qcow2``, ``kernel``, ``initrd``."""
    guests_inside: Path
    images_inside: Path
    guest_logs: Path | None = None
    """Where libvirt keeps QEMU's own log of each guest; None leaves those logs alone."""


class GuestFolder:
    """The files of one guest. ``inside`` is the folder's name to libvirt and QEMU."""

    def __init__(self, folders: HostFolders, vps_id: VpsId) -> None:
        self.path = folders.guests / str(vps_id)
        self.inside = folders.guests_inside / str(vps_id)
        self._folders = folders
        self.vps_id = vps_id

    @property
    def disk(self) -> Path:
        """The guest's own disk, a qcow2 over the image's. While it exists the guest counts as prepared."""
        return self.path / "disk.qcow2"

    @property
    def seed(self) -> Path:
        """The ISO from which the guest learns on first boot who it is."""
        return self.path / "seed.iso"

    @property
    def image_key(self) -> Path:
        """Holds the key of the image that the disk lies upon, so that a newer image changes nothing."""
        return self.path / "image"

    @property
    def ledger(self) -> Path:
        """Holds the name of the ledger that had the guest made: no other may take it for its own."""
        return self.path / "ledger"

    def image_inside(self) -> Path:
        """Return the folder of the guest's image, as libvirt sees it."""
        return self._folders.images_inside / self.image_key.read_text()

    @property
    def image_disk(self) -> Path:
        """The disk of the guest's image, as we see it."""
        return self._folders.images / self.image_key.read_text() / "disk.qcow2"

    @property
    def has_kernel(self) -> bool:
        """Whether the host hands the kernel over; else the image boots by its own boot loader."""
        return (self.image_disk.parent / "kernel").is_file()

    def logs(self) -> list[Path]:
        """Return the files libvirt writes about this guest outside its folder."""
        if self._folders.guest_logs is None:
            return []
        return list(self._folders.guest_logs.glob(f"{domain_name(self.vps_id)}.log*"))


def guests_with_files(folders: HostFolders, ledger_id: LedgerId | None) -> Iterator[VpsId]:
    """Yield the guests of a ledger that have a folder, started ever or not; None: everybody's."""
    for path in folders.guests.glob("*-*-*-*-*"):
        with suppress(ValueError, FileNotFoundError):
            folder = GuestFolder(folders, VpsId(UUID(path.name)))
            if ledger_id is None or folder.ledger.read_text() == str(ledger_id):
                yield folder.vps_id


def domain_name(vps_id: VpsId) -> str:
    """Return what a guest is called in libvirt. No word of the customer's: names are personal."""
    return f"litevps-{vps_id}"
