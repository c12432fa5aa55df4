"""An event loop whose time passes only where all would wait: an hour of the service takes a moment."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from domain.time import MICROSECONDS_PER_SECOND, Instant

T = TypeVar("T")
SHORTEST_S = 1e-6
FIRST_INSTANT = 1_700_000_000_000_000


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Skips every wait. What runs in it must wait for nothing outside the process."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_SkippingSelector(self))

    def time(self) -> float:
        """Return the loop's own time, in seconds."""
        return self.now_s


class _SkippingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits, and for nothing that could ever happen")
        # Work takes time too: who asks again until it is later would else ask for ever.
        self._loop.now_s += max(SHORTEST_S, timeout)
        return super().select(0)


class LoopClock:
    """The port Clock, by the running loop's time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(FIRST_INSTANT + round(self._loop.time() * MICROSECONDS_PER_SECOND))


def run_in_virtual_time(loop: VirtualTimeLoop, doing: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, and end whatever it left behind."""
    try:
        return loop.run_until_complete(doing)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
