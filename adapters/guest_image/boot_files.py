"""Writes what a host boots a guest with: the kernel, and a small initrd that finds the disk."""

import gzip
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from adapters.guest_image.kernel import unpacked_kernel, write_sparse
from adapters.guest_image.recipe import INITRD_INIT, KERNEL_MODULES

_BUSYBOX = Path("bin/busybox")


def write_kernel(kernel_root: Path, target: Path) -> None:
    """Write the kernel out of the unpacked kernel package, unpacked itself where that is possible."""
    (found,) = (kernel_root / "boot").glob("vmlinuz-*")
    write_sparse(unpacked_kernel(found.read_bytes()), target)


def write_initrd(kernel_root: Path, guest_root: Path, target: Path) -> None:
    """Write the initrd: busybox of the guest, the modules a disk and a card need, our init."""
    modules = {path.name: path for path in (kernel_root / "lib/modules").rglob("*.ko")}
    chosen = [name for name in KERNEL_MODULES if f"{name}.ko" in modules]
    entries: dict[str, bytes | None] = dict.fromkeys(("bin", "modules", "proc", "sys", "dev", "new"))
    entries["bin/busybox"] = (guest_root / _BUSYBOX).read_bytes()
    entries["init"] = INITRD_INIT.read_bytes()
    entries["modules/order"] = "\n".join(chosen).encode() + b"\n"
    entries |= {f"modules/{name}.ko": modules[f"{name}.ko"].read_bytes() for name in chosen}
    target.write_bytes(gzip.compress(b"".join(_newc_records(entries)), mtime=0))


def _newc_records(entries: dict[str, bytes | None]) -> Iterator[bytes]:
    """Write a cpio archive in the ``newc`` format (kernel: driver-api/early-userspace/buffer-format)."""
    for number, (name, content) in enumerate(entries.items(), start=1):
        mode = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o755
        yield _newc_record(number, name, mode, content or b"")
    yield _newc_record(0, "TRAILER!!!", 0, b"")


def _newc_record(inode: int, name: str, mode: int, content: bytes) -> bytes:
    path = os.fsencode(name) + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return _padded(header) + _padded(content)


def _padded(chunk: bytes) -> bytes:
    return chunk + b"\0" * (-len(chunk) % 4)
