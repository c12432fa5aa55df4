"""Folders for what a test's PostgreSQL writes: in memory where there is room, since a disk is slow and shared."""

import os
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
_FREE_BYTES_MIN = 2 * 1024**3
"""Several times of what all servers of a session write."""


def make_folder(prefix: str = "litevps-") -> Path:
    """Make a folder that PostgreSQL's user may enter and nobody else may list; whoever asked for it removes it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if _is_roomy() else None))
    folder.chmod(0o711)
    return folder


def _is_roomy() -> bool:
    if not os.access(_MEMORY, os.W_OK):
        return False
    found = os.statvfs(_MEMORY)
    # PostgreSQL's programs are copied there where its user cannot reach them elsewhere.
    return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= _FREE_BYTES_MIN
