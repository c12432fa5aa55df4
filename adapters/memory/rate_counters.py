"""Counts of tries in the memory of one process, for tests and simulations."""

from collections.abc import Sequence

from domain.accounts.ports import Quota, Tally
from domain.ports import Clock
from domain.time import Instant, seconds


class MemoryRateCounters:
    """Counts as the database does: a window begins with the first try, and the next after its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], tuple[Instant, int]] = {}

    async def count(self, tries: Sequence[tuple[Quota, str]]) -> list[Tally]:
        """Count one try of each (quota, subject), and return how often each has tried."""
        now = self._clock.now()
        return [self._count_one(quota, subject, now) for quota, subject in tries]

    def _count_one(self, quota: Quota, subject: str, now: Instant) -> Tally:
        began_at, count = self._windows.get((quota.name, subject), (now, 0))
        if now >= began_at + seconds(quota.window_s) or now < began_at:
            began_at, count = now, 0
        self._windows[quota.name, subject] = (began_at, count + 1)
        left = began_at + seconds(quota.window_s) - now
        return Tally(count + 1, -(-left // seconds(1)))
