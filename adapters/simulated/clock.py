"""A clock that stands still until it is told to move."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from domain.time import Instant, seconds

FIRST_INSTANT = Instant(1_700_000_000_000_000)


class ManualClock:
    """The port Clock for tests that decide themselves what time it is."""

    def __init__(self, now: Instant = FIRST_INSTANT) -> None:
        self._now = now
        self._told: list[Callable[[Instant], None]] = []

    def now(self) -> Instant:
        """Return the instant that was set last."""
        return self._now

    def advance(self, span_s: float) -> None:
        """Move on, or back if ``span_s`` is negative."""
        self._now = Instant(self._now + seconds(span_s))
        for moved in self._told:
            moved(self._now)

    @contextmanager
    def told(self, moved: Callable[[Instant], None]) -> Iterator[None]:
        """Have another clock follow meanwhile: it is told the time now, and whenever this one is moved."""
        moved(self._now)
        self._told.append(moved)
        try:
            yield
        finally:
            self._told.remove(moved)
