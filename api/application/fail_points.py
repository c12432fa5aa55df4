"""Fail points: named places at which a test ends the process at once, as a crash would."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FAIL_AT = os.environ.get("LITEVPS_FAIL_AT")
"""Where this process is to end, as it was started; None but in tests."""

POINTS: dict[str, tuple[str, ...]] = {
    "create": ("blobs", "append"),
    "place": ("append",),
    "prepare": ("host", "append"),
    "launch": ("host", "append"),
    "login": ("guest", "append"),
    "observe": ("host", "append"),
    "tick": ("append",),
    "exec": ("blobs", "append", "guest", "output"),
    "exec-end": ("append",),
    "change": ("append",),
    "filter": ("host", "append"),
    "restart": ("append",),
    "reboot": ("host", "append"),
    "snapshot": ("append",),
    "take-snapshot": ("host", "append"),
    "restore-asked": ("append",),
    "restore": ("host", "append"),
    "delete-snapshot": ("append",),
    "remove-snapshot": ("host", "append"),
    "stop": ("append",),
    "halt": ("host", "append"),
    "start": ("append",),
    "expire": ("append",),
    "delete": ("append",),
    "remove": ("host", "append"),
    "fail": ("append",),
    "differ": ("append", "host"),
}
"""By what is being done, in the order of a VPS's life: what is done outside or recorded on the way.

Each has a fail point before and one after it, such as ``launch:before-host`` and ``launch:after-host``.
"""
PAYMENT_POINTS: dict[str, tuple[str, ...]] = {
    "checkout": ("append",),
    "checkout-open": ("stripe", "append"),
    "webhook": ("append",),
    "apply": ("stripe", "append"),
    "applied": ("append",),
    "refund": ("append",),
    "refund-open": ("stripe", "append"),
    "transaction": ("append",),
    "swept": ("append",),
}
"""The same, in the order of a payment's life."""
MAIL_POINTS: dict[str, tuple[str, ...]] = {
    "alert": ("append",),
    "mail": ("server",),
    "mail-end": ("append",),
}
"""The same, in the order of a mail's life."""
HOST_POINTS: dict[str, tuple[str, ...]] = {"lose": ("append",), "found": ("append",)}
"""The same, of a host that is gone, and of its VPSs once it is back."""
CLOSING_POINTS: dict[str, tuple[str, ...]] = {"close": ("append",), "closing": ("append",)}
"""The same, of an account that is closed; in between, its VPSs are deleted and what is left is refunded."""
ERASURE_POINTS: dict[str, tuple[str, ...]] = {"erase": ("append", "key"), "erased": ("append",)}
"""The same, of an account that is erased."""


def _named(points: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(
        f"{doing}:{when}-{what}" for doing, parts in points.items() for what in parts for when in ("before", "after")
    )


ALL = _named(POINTS)
ALL_OF_PAYMENTS = _named(PAYMENT_POINTS)
ALL_OF_MAIL = _named(MAIL_POINTS)
ALL_OF_HOSTS = _named(HOST_POINTS)
ALL_OF_CLOSING = _named(CLOSING_POINTS)
ALL_OF_ERASURE = _named(ERASURE_POINTS)

_armed: dict[str, Callable[[], None]] = {}


def fail_point(name: str) -> None:
    """End this process by SIGKILL if it was started to fail here; otherwise do nothing.

    ``LITEVPS_FAIL_AT=create:before-append`` names the place. Only tests set it.
    """
    if _armed and name in _armed:
        _armed.pop(name)()
    if name == _FAIL_AT:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def armed(name: str, crash: Callable[[], None]) -> Iterator[None]:
    """Have ``crash`` called, once, where this process next reaches the fail point: for tests in one process."""
    assert name in (*ALL, *ALL_OF_PAYMENTS, *ALL_OF_MAIL, *ALL_OF_HOSTS, *ALL_OF_CLOSING, *ALL_OF_ERASURE), (
        f"no such fail point: {name}"
    )
    _armed[name] = crash
    try:
        yield
    finally:
        _armed.pop(name, None)
