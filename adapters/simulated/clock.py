"""A clock that stands still until it is told to move."""

from domain.time import Instant, seconds

FIRST_INSTANT = Instant(1_700_000_000_000_000)


class ManualClock:
    """The port Clock for tests that decide themselves what time it is."""

    def __init__(self, now: Instant = FIRST_INSTANT) -> None:
        self._now = now

    def now(self) -> Instant:
        """Return the instant that was set last."""
        return self._now

    def advance(self, span_s: float) -> None:
        """Move on, or back if ``span_s`` is negative."""
        self._now = Instant(self._now + seconds(span_s))
