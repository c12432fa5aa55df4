"""A figure: one thing measured, beside what it is compared with and what is promised of it."""

import statistics
from collections.abc import Awaitable, Callable, Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One line of the table. A figure without a target is told for its own sake."""

    name: str
    ours: float
    unit: str
    theirs: float | None = None
    """The same measured on what we compare ourselves with, in the same run."""
    target: float | None = None
    """Of the ratio ours / theirs where there is ``theirs``, otherwise of ``ours``."""
    at_most: bool = False
    """Whether the target may not be exceeded; otherwise it is to be reached."""
    note: str = ""

    @property
    def judged(self) -> float:
        """Return what the target is about."""
        return self.ours if self.theirs is None else self.ours / self.theirs

    @property
    def holds(self) -> bool | None:
        """Return whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.judged <= self.target if self.at_most else self.judged >= self.target


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
