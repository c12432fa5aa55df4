"""Fail points: named places at which a test ends the process at once, as a crash would."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_VARIABLE = "LITEVPS_FAIL_AT"

APPENDS = (
    "create",
    "start",
    "stop",
    "restart",
    "delete",
    "place",
    "prepare",
    "launch",
    "login",
    "reboot",
    "halt",
    "remove",
    "fail",
    "observe",
    "differ",
    "tick",
    "exec",
    "exec-end",
)
"""What is recorded by name; each has a fail point before and one after its append."""

OUTSIDE = (
    "prepare:host",
    "launch:host",
    "login:guest",
    "reboot:host",
    "observe:host",
    "halt:host",
    "remove:host",
    "differ:host",
    "exec:guest",
    "exec:output",
)
"""What is done outside the store; each has a fail point before and one after."""

ALL = (
    *(f"{name}:{when}-append" for name in APPENDS for when in ("before", "after")),
    *(f"{step}:{when}-{what}" for step, what in (name.split(":") for name in OUTSIDE) for when in ("before", "after")),
)

_armed: dict[str, Callable[[], None]] = {}


def reach(name: str) -> None:
    """End this process by SIGKILL if it was started to fail here; otherwise do nothing.

    ``LITEVPS_FAIL_AT=create:before-append`` names the place. Only tests set it.
    """
    if _armed and name in _armed:
        _armed.pop(name)()
    if os.environ.get(_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def armed(name: str, crash: Callable[[], None]) -> Iterator[None]:
    """Have ``crash`` called, once, where this process next reaches the fail point: for tests in one process."""
    assert name in ALL, f"no such fail point: {name}"
    _armed[name] = crash
    try:
        yield
    finally:
        _armed.pop(name, None)
