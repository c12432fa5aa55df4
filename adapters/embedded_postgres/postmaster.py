"""What ``postmaster.pid`` says, believed only as far as the running process bears it out."""

import os
import signal
import time
from pathlib import Path

import msgspec

POLL_S = 0.02
STOP_TIMEOUT_S = 60


class StopFailed(Exception):
    """The server did not end in time."""


class Postmaster(msgspec.Struct, frozen=True):
    """A running server, as it describes itself."""

    pid: int
    port: int
    socket_folder: str
    listens_on: str
    ready: bool


def find_postmaster(cluster: Path) -> Postmaster | None:
    """Return the server that runs on this cluster's folder, or None; a left-over file counts as none."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    if not _works_in(pid, cluster):
        return None
    lines += [""] * (8 - len(lines))
    return Postmaster(
        pid=pid,
        port=int(lines[3] or 0),
        socket_folder=lines[4].strip(),
        listens_on=lines[5].strip(),
        ready=lines[7].strip() == "ready",
    )


def stop_postmaster(pid: int, cluster: Path) -> None:
    """Stop the server in an orderly way: open transactions are rolled back, nothing recorded is lost.

    Raises StopFailed after ``STOP_TIMEOUT_S`` seconds.
    """
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while _works_in(pid, cluster):
        if time.monotonic() > deadline:
            raise StopFailed(f"PostgreSQL (process {pid}) did not stop within {STOP_TIMEOUT_S} s")
        time.sleep(POLL_S)


def _works_in(pid: int, cluster: Path) -> bool:
    # A postmaster's working folder is its cluster; a zombie has none, nor has a stranger with a reused id.
    try:
        return Path(f"/proc/{pid}/cwd").samefile(cluster)
    except OSError:
        return False
