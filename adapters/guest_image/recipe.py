"""Recipes: which packages and files an image is made of, and the key that names each."""

import hashlib
import platform
from pathlib import Path

import msgspec

SUITE = "bookworm"
KERNEL_PACKAGE = "linux-image-cloud-amd64"

KERNEL_MODULES = (
    # In the order in which they are loaded: virtio_ring comes before virtio, which needs it.
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio-rng",
    "cdrom",
    "isofs",
    "button",
    "evdev",
)
"""Those that the initrd loads: what a disk and a card need."""

_HERE = Path(__file__).parent
INITRD_INIT = _HERE / "initrd" / "init"
_CODE = ("recipe.py", "root_folder.py", "boot_files.py", "kernel.py", "disk.py")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What one image is made of."""

    name: str
    variant: str
    """Which packages mmdebstrap adds by itself (mmdebstrap(1), VARIANTS)."""
    packages: tuple[str, ...]
    file_system_mib: int
    """Size of the file system in the image; a guest grows it to its disk on first boot."""
    rootfs: tuple[str, ...]
    """Folders beside this file whose files go into the guest."""
    full: bool = False
    """Whether systemd is its first program, and all modules of the kernel are in it."""
    excluded: tuple[str, ...]
    """Paths below ``usr/share`` that are never unpacked."""
    left_out: tuple[str, ...]
    """Folders that are emptied once all is unpacked."""
    left_out_files: tuple[str, ...] = ()

    def content_key(self) -> str:
        """Return what this recipe is called in the cache: another recipe has another key."""
        digest = hashlib.sha256()
        for text in (SUITE, KERNEL_PACKAGE, platform.machine()):
            digest.update(text.encode() + b"\0")
        digest.update(msgspec.json.encode((self, KERNEL_MODULES)))
        code = (_HERE / name for name in _CODE)
        for path in (*code, INITRD_INIT, *self.files().values()):
            digest.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    @property
    def key(self) -> str:
        """Return the name of the folder that the image is kept in."""
        return f"{self.name}-{self.content_key()}"

    def files(self) -> dict[Path, Path]:
        """Return our own files that go into the guest, by their place there, in a fixed order."""
        folders = (_HERE / name for name in self.rootfs)
        found = ((path.relative_to(folder), path) for folder in folders for path in folder.rglob("*"))
        return dict(sorted((place, path) for place, path in found if path.is_file()))
