"""Brings an image that somebody else made to the folder of images: looked at as what it is, a stranger's file.

Guests have their disks upon it, so nothing in it may lead anywhere else: no backing file, no data file. What looks
into it runs as nobody and is bounded, since it might be made to take ever more memory or time (as CVE-2024-4467 did).
"""

import fcntl
import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

FILE_BYTES_MAX = 64 * 1024**3
DISK_BYTES_MAX = 1024 * 1024**3
KEPT_FREE_BYTES = 2 * 1024**3
"""Of the file system that images are on: it may be the guests' as well."""
PIECE_BYTES = 4 * 1024 * 1024
LOOK_TIMEOUT_S = 30.0
LOOK_CPU_S, LOOK_MEMORY_BYTES = 20, 1024**3
_NOBODY = 65_534
_REMOVED = ".removed-"
_GIB = 1024**3
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQ")
"""Of qcow2, from its magic to ``autoclear_features`` (QEMU: docs/interop/qcow2.txt)."""
_HARMLESS_FEATURES = 0b11001
"""Incompatible features that lead nowhere: dirty, another compression, extended L2 entries; not: corrupt, data file."""


class ImageRefused(Exception):
    """The file can be no image; the message says why."""


class BroughtImage(msgspec.Struct, frozen=True):
    """An image whose files are in the folder."""

    key: str
    disk_gb_min: int
    size_bytes: int
    sha256: str


def bring(
    images: Path,
    name: str,
    file: Path,
    *,
    sha256: str | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> BroughtImage:
    """Copy a qcow2 into the folder of images, unless it is there, and return what it is found by.

    ``sha256``: what the file must have, in hexadecimal. Raises ImageRefused.
    """
    with (images / ".bringing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in images.glob(".bringing-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        return _bring(images, name, file, sha256, on_progress)


def _bring(images: Path, name: str, file: Path, sha256: str | None, on_progress: Callable[[str], None]) -> BroughtImage:
    work = Path(tempfile.mkdtemp(prefix=".bringing-", dir=images))
    try:
        disk = work / "disk.qcow2"
        on_progress(f"copying {file}")
        size_bytes, found = _copied(file, disk)
        if sha256 is not None and found != sha256.lower():
            raise ImageRefused(f"its SHA-256 is {found}")
        image = BroughtImage(f"{name}-{found[:16]}", _disk_gb(disk), size_bytes, found)
        (work / "about.json").write_bytes(msgspec.json.format(msgspec.json.encode(image)))
        for path in (*work.iterdir(), work):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if not (images / image.key).is_dir():
            work.rename(images / image.key)
        return image
    finally:
        shutil.rmtree(work, ignore_errors=True)


def discard(images: Path, keys: Iterable[str], is_used: Callable[[str], bool]) -> frozenset[str]:
    """Remove the files of images unless a guest's disk lies upon them; return the keys of those that stay.

    Each goes out of the way first, and is looked for then: whoever makes a disk upon it says so first, and looks then
    whether it is there. What a crash left out of the way is dealt with as well.
    """
    left = (path.name.removeprefix(_REMOVED) for path in images.glob(f"{_REMOVED}*"))
    stay = set()
    for key in {*keys, *left}:
        folder, away = images / key, images / f"{_REMOVED}{key}"
        if folder.is_dir() and not away.exists():
            folder.rename(away)
        if not away.is_dir():
            continue
        if is_used(key):
            stay.add(key)
            away.rename(folder)
        else:
            shutil.rmtree(away)
    return frozenset(stay)


def _copied(file: Path, disk: Path) -> tuple[int, str]:
    """Copy a file with holes for what is zero; return its size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failed:
        raise ImageRefused(f"it cannot be read: {failed.strerror}") from failed
    told = os.fstat(descriptor)
    if not stat.S_ISREG(told.st_mode):
        os.close(descriptor)
        raise ImageRefused("it is no file")
    with os.fdopen(descriptor, "rb", buffering=0) as source, disk.open("wb") as target:
        _check_header(os.pread(descriptor, _HEADER.size, 0))
        room = shutil.disk_usage(disk.parent).free - KEPT_FREE_BYTES
        if told.st_size > min(room, FILE_BYTES_MAX):
            raise ImageRefused(f"it has {told.st_size} bytes, and there is room for {min(room, FILE_BYTES_MAX)}")
        while piece := source.read(PIECE_BYTES):
            size += len(piece)
            if size > told.st_size:
                raise ImageRefused("it grew while it was copied")
            digest.update(piece)
            if piece.strip(b"\0"):
                target.write(piece)
            else:
                target.seek(len(piece), os.SEEK_CUR)
        target.truncate(size)
        target.flush()
        os.fsync(target.fileno())
    return size, digest.hexdigest()


def _check_header(header: bytes) -> None:
    """Refuse what leads anywhere else, before any program of QEMU's opens it."""
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise ImageRefused("it is no qcow2")
    (_, version, backing_at, _, _, disk_bytes, encrypted, _, _, _, _, snapshots, _, features, _, _) = _HEADER.unpack(
        header
    )
    if version not in (2, 3):
        raise ImageRefused(f"it is a qcow2 of version {version}")
    if backing_at:
        raise ImageRefused("it has a backing file: make one of it with qemu-img convert")
    if encrypted:
        raise ImageRefused("it is encrypted")
    if snapshots:
        raise ImageRefused("it has snapshots: make one without them with qemu-img convert")
    if version > 2 and features & ~_HARMLESS_FEATURES:
        raise ImageRefused("it is damaged, has a data file, or needs what is unknown here")
    if not 0 < disk_bytes <= DISK_BYTES_MAX:
        raise ImageRefused(f"its disk has {disk_bytes} bytes, which is not from 1 to {DISK_BYTES_MAX}")


def _disk_gb(disk: Path) -> int:
    """Return how many GiB a disk upon this one takes. Raises ImageRefused where QEMU finds anything amiss."""
    with disk.open("rb") as file:
        _check_header(file.read(_HEADER.size))
        file.seek(0)
        bounds = ("--cpu", LOOK_CPU_S), ("--as", LOOK_MEMORY_BYTES), ("--fsize", 0), ("--core", 0), ("--nofile", 64)
        command = ["prlimit", *(f"{name}={bound}" for name, bound in bounds)]
        # Its own name leads through folders that nobody may pass.
        command += ["qemu-img", "info", "-U", "-f", "qcow2", "--output=json", "/proc/self/fd/0"]
        # Whoever is not root cannot become somebody else, and has less to lose.
        as_nobody = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        disk.chmod(0o644)
        try:
            looked = subprocess.run(
                command, stdin=file, capture_output=True, timeout=LOOK_TIMEOUT_S, check=True, env={"PATH": os.defpath},
                **as_nobody,
            )  # type: ignore[call-overload]  # fmt: skip
            told = json.loads(looked.stdout)
        except FileNotFoundError as missing:
            raise ImageRefused(f"{missing.filename} is not installed, and looks into it") from missing
        except subprocess.CalledProcessError as failed:
            last_line = failed.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ImageRefused(f"qemu-img cannot read it: {''.join(last_line)[:300]}") from failed
        except (OSError, subprocess.TimeoutExpired, ValueError) as failed:
            raise ImageRefused(f"qemu-img cannot tell of it: {failed}") from failed
    specific = told.get("format-specific", {}).get("data", {})
    leads_elsewhere = [name for name in ("backing-filename", "full-backing-filename", "encrypted") if told.get(name)]
    if leads_elsewhere or specific.get("data-file") or specific.get("corrupt") or told.get("format") != "qcow2":
        raise ImageRefused("it is damaged, encrypted, or leads to another file")
    disk_bytes = told["virtual-size"]
    if not (isinstance(disk_bytes, int) and 0 < disk_bytes <= DISK_BYTES_MAX):
        raise ImageRefused("its disk is too large")
    return -(-disk_bytes // _GIB)
