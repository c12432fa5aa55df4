"""A figure: one thing measured, beside the least that it could cost on the same machine, and what is promised of it."""

import statistics
from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. A figure without a target is told for its own sake."""

    name: str
    measured: float
    unit: str
    floor: float
    """What the same takes at least, or how much of it can be done at most, measured in the same run."""
    floor_is: str
    """What the floor is, in a few words that hold on any machine."""
    target: float | None = None
    """Of the ratio measured / floor. There is no other kind of target: another machine moves both alike."""
    at_most: bool = False
    """Whether the target may not be exceeded; otherwise it is to be reached."""
    note: str = ""

    @property
    def ratio(self) -> float:
        """Return what the target is about."""
        return self.measured / self.floor

    @property
    def is_met(self) -> bool | None:
        """Return whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.ratio <= self.target if self.at_most else self.ratio >= self.target


async def interleaved(rounds: int, *measured: Callable[[], Awaitable[float]]) -> Sequence[float]:
    """Measure each in turn, again and again, and return the median of each: so noise falls on all alike."""
    seen: list[list[float]] = [[] for _ in measured]
    for _ in range(rounds):
        for results, measure in zip(seen, measured, strict=True):
            results.append(await measure())
    return [statistics.median(results) for results in seen]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of all values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
