"""Writes a root folder as the disk that guests' own disks lie upon."""

from pathlib import Path

from adapters.guest_image.root_folder import run_step


def write_disk(root: Path, raw: Path, disk: Path, file_system_mib: int) -> None:
    """Write the root folder as an ext4 file system into a compressed qcow2."""
    with raw.open("wb") as file:
        file.truncate(file_system_mib * 1024 * 1024)
    # A guest's disk is a customer's: it has a journal. Small, since it is written in full when made.
    run_step("mke2fs", "-q", "-t", "ext4", "-L", "root", "-m", "1", "-J", "size=8", "-d", str(root), str(raw))
    compressed = ("-c", "-O", "qcow2", "-o", "compression_type=zstd")
    run_step("qemu-img", "convert", *compressed, str(raw), str(disk))
