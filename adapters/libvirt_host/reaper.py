"""Starts the host's daemons, then stays as the parent of their orphans and buries those at once.

QEMU processes belong to nobody once they run, so the machine's first process inherits them. In a container, and on
machines with a simple init, that one buries late or never, and libvirt takes an unburied guest for a running one.
Run as root:   python reaper.py COMMAND [ARGUMENT…]   ends with the command's status; the reaper stays behind.
"""

import ctypes
import os
import sys

_PR_SET_CHILD_SUBREAPER = 36
"""From <linux/prctl.h>."""


def start(command: list[str]) -> int:
    """Run the command below a reaper, and return its status once it has ended."""
    verdict, tell = os.pipe()
    if os.fork():
        os.close(tell)
        status = os.read(verdict, 1)
        return status[0] if status else 1
    os.close(verdict)
    os.setsid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        os._exit(1)
    child = os.posix_spawnp(command[0], command, dict(os.environ))
    _, ended = os.waitpid(child, 0)
    os.write(tell, bytes([os.waitstatus_to_exitcode(ended) & 0xFF]))
    os.close(tell)
    _let_go_of_terminal()
    _bury_all()
    os._exit(0)


def _bury_all() -> None:
    """Wait for whoever ends, until there is nobody left to wait for."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _let_go_of_terminal() -> None:
    os.chdir("/")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
