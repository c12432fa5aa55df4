"""Has a guest's files ready on the host's disk, or gone, whatever a crash left behind."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from adapters.libvirt.folders import GuestFolder
from adapters.libvirt.seed import write_seed
from domain.compute.ports import GuestSpec, HypervisorUnavailable

_QEMU_IMG_TIMEOUT_S = 30.0


def ensure_files(folder: GuestFolder, spec: GuestSpec, images: Mapping[str, str]) -> None:
    """Have image key, seed and disk there. The disk comes last: once it is there, nothing is touched again."""
    if folder.disk.exists():
        return
    key = images.get(spec.image)
    if key is None:
        raise HypervisorUnavailable(f"the host has no image {spec.image}")
    if not spec.host_key_private:
        # It was handed over, so the guest was prepared: an empty disk would pass off loss as a new start.
        raise HypervisorUnavailable("the disk of a guest that was prepared is missing")
    folder.path.mkdir(mode=0o711, parents=True, exist_ok=True)
    _remove_parts(folder.path)
    key_part = _part_of(folder.image_key)
    key_part.write_text(key)
    _put_in_place(key_part, folder.image_key)
    seed_part = _part_of(folder.seed)
    write_seed(spec, seed_part)
    _put_in_place(seed_part, folder.seed)
    disk_part = _part_of(folder.disk)
    _make_overlay(disk_part, base=folder.image_inside() / "disk.qcow2", size_gb=spec.disk_gb)
    _put_in_place(disk_part, folder.disk)


def ensure_no_files(folder: GuestFolder) -> None:
    """Have nothing left of the guest on disk."""
    if folder.path.exists():
        # The disk goes first: a folder without one counts as not prepared.
        folder.disk.unlink(missing_ok=True)
        shutil.rmtree(folder.path)
    for log in folder.logs():
        log.unlink(missing_ok=True)


def _make_overlay(target: Path, *, base: Path, size_gb: int) -> None:
    """Make an empty qcow2 over ``base``, named as QEMU will see it, which is why it is not opened here."""
    options = ("-u", "-f", "qcow2", "-F", "qcow2", "-b", str(base))
    command = ("qemu-img", "create", "-q", *options, str(target), f"{size_gb}G")
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_QEMU_IMG_TIMEOUT_S)
    except subprocess.CalledProcessError as failed:
        raise HypervisorUnavailable(f"the disk could not be made: {failed.stderr.strip()}") from failed
    except (OSError, subprocess.SubprocessError) as failed:
        raise HypervisorUnavailable(f"the disk could not be made: {failed}") from failed


def _part_of(final: Path) -> Path:
    """Return a name of this very attempt: two workers at the same step do not write into one file."""
    return final.with_name(f".{final.name}.{os.urandom(4).hex()}.part")


def _put_in_place(part: Path, final: Path) -> None:
    """Rename a file that is whole and on disk to its final name; nobody but root may read it."""
    part.chmod(0o600)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(final)


def _remove_parts(folder: Path) -> None:
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
