"""Has a guest's files ready on the host's disk, or gone, whatever a crash left behind."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath

from adapters.libvirt.folders import GuestFolder
from adapters.libvirt.seed import write_seed
from domain.compute.ports import GuestSpec, HypervisorUnavailable
from domain.ids import LedgerId

_QEMU_IMG_TIMEOUT_S = 30.0


def ensure_files(folder: GuestFolder, spec: GuestSpec, images: Mapping[str, str], ledger_id: LedgerId | None) -> None:
    """Have ledger, image key, seed and disk there. The disk comes last: once it is there, nothing is touched again."""
    if folder.disk.exists():
        return
    key = spec.image_key or images.get(spec.image)
    if key is None:
        raise HypervisorUnavailable(f"the host has no image {spec.image}")
    if not spec.host_key_private:
        # It was handed over, so the guest was prepared: an empty disk would pass off loss as a new start.
        raise HypervisorUnavailable("the disk of a guest that was prepared is missing")
    folder.path.mkdir(mode=0o711, parents=True, exist_ok=True)
    with _alone(folder.path):
        if folder.disk.exists():
            return  # Another worker was first.
        for part in folder.path.glob("*.part"):
            part.unlink()
        with _put_in_place(folder.ledger) as part:
            part.write_text(str(ledger_id or ""))
        with _put_in_place(folder.image_key) as part:
            part.write_text(key)
        # Now that it is seen to be in use it is not removed any more; it may have been just before.
        if not folder.image_disk.is_file():
            raise HypervisorUnavailable(f"the host has no files of image {spec.image}")
        with _put_in_place(folder.seed) as part:
            write_seed(spec, part)
        with _put_in_place(folder.disk) as part:
            make_overlay(part, base=folder.image_inside() / "disk.qcow2", size_gb=spec.disk_gb)


def ensure_no_files(folder: GuestFolder) -> None:
    """Have nothing left of the guest on disk."""
    if folder.path.exists():
        with _alone(folder.path):
            # The disk goes first: a folder without one counts as not prepared.
            folder.disk.unlink(missing_ok=True)
            shutil.rmtree(folder.path)
    for log in folder.logs():
        log.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other worker makes or removes the files in a guest's folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not folder.exists() or not os.path.samestat(folder.stat(), os.fstat(descriptor)):
            raise HypervisorUnavailable("the guest was removed meanwhile")
        yield
    finally:
        os.close(descriptor)


def make_overlay(target: Path, *, base: PurePath, size_gb: int) -> None:
    """Make an empty qcow2 over ``base``, named as QEMU will see it, which is why it is not opened here."""
    options = ("-u", "-f", "qcow2", "-F", "qcow2", "-b", str(base))
    command = ("qemu-img", "create", "-q", *options, str(target), f"{size_gb}G")
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_QEMU_IMG_TIMEOUT_S)
    except subprocess.CalledProcessError as failed:
        raise HypervisorUnavailable(f"the disk could not be made: {failed.stderr.strip()}") from failed
    except (OSError, subprocess.SubprocessError) as failed:
        raise HypervisorUnavailable(f"the disk could not be made: {failed}") from failed


@contextmanager
def _put_in_place(final: Path) -> Iterator[Path]:
    """Give a file beside ``final`` to write into, and rename it once it is whole and on disk."""
    part = final.with_name(f"{final.name}.part")
    yield part
    part.chmod(0o600)  # Only root may read it: there are keys in a seed.
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(final)
