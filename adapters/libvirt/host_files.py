"""The files of a host's guests, wherever the host is: what the hypervisor needs to know and to have done of them."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Protocol

from adapters.libvirt.domain_xml import BootFiles
from adapters.libvirt.folders import GuestFolder, HostFolders, guests_with_files
from adapters.libvirt.guest_files import ensure_files, ensure_no_files
from domain.compute.ports import GuestSpec
from domain.ids import LedgerId, VpsId

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class HostFiles(Protocol):
    """Blocks, so it is called in threads. Raises HypervisorUnavailable where the host does not answer."""

    def ensure_image(self, key: str) -> None:
        """Have an image's files there. Raises HypervisorUnavailable, also while they are on their way."""
        ...

    def ensure_guest(self, spec: GuestSpec) -> None:
        """Have image, seed and disk of a guest there; once the disk is, nothing is touched again."""
        ...

    def ensure_no_guest(self, vps_id: VpsId) -> None:
        """Have no file of the guest."""
        ...

    def boot_files(self, vps_id: VpsId) -> BootFiles | None:
        """Return what the guest is started from, as libvirt sees it; None where it was not prepared."""
        ...

    def disk(self, vps_id: VpsId) -> PurePath:
        """Return the guest's own disk, as libvirt sees it, prepared or not."""
        ...

    def guests(self) -> list[VpsId]:
        """Return the guests of our ledger that have files, started ever or not."""
        ...

    def boot_id(self) -> str:
        """Return what names the present boot of the host's machine."""
        ...


class LocalHostFiles:
    """Those of a host on this machine. ``images``: the key of each image that new guests are made from."""

    def __init__(self, folders: HostFolders, images: Mapping[str, str], ledger_id: LedgerId | None) -> None:
        self._folders = folders
        self._images = images
        self._ledger_id = ledger_id

    def ensure_image(self, key: str) -> None:
        """Nothing is to be done: images are where they were made."""

    def ensure_guest(self, spec: GuestSpec) -> None:
        """Have seed and disk there; the images are."""
        ensure_files(self._folder(spec.vps_id), spec, self._images, self._ledger_id)

    def ensure_no_guest(self, vps_id: VpsId) -> None:
        """Have no file of the guest, and none that libvirt wrote about it."""
        ensure_no_files(self._folder(vps_id))

    def boot_files(self, vps_id: VpsId) -> BootFiles | None:
        """Return what the guest is started from; None where it was not prepared."""
        folder = self._folder(vps_id)
        return _boot_files(folder) if folder.disk.exists() else None

    def disk(self, vps_id: VpsId) -> PurePath:
        """Return the guest's own disk, as libvirt sees it."""
        folder = self._folder(vps_id)
        return folder.inside / folder.disk.name

    def guests(self) -> list[VpsId]:
        """Return the guests that have files."""
        return list(guests_with_files(self._folders, self._ledger_id))

    def boot_id(self) -> str:
        """Return this machine's boot."""
        return Path(BOOT_ID).read_text().strip()

    def _folder(self, vps_id: VpsId) -> GuestFolder:
        return GuestFolder(self._folders, vps_id)


def _boot_files(folder: GuestFolder) -> BootFiles:
    image = folder.image_inside()
    return BootFiles(
        disk=folder.inside / folder.disk.name,
        base_disk=image / "disk.qcow2",
        seed=folder.inside / folder.seed.name,
        kernel=image / "kernel" if folder.has_kernel else None,
        initrd=image / "initrd",
        console_log=folder.inside / "console.log",
    )
