"""What came of a customer's schemes: for how long guests were on, and what was paid for it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from domain.ids import VpsId


@dataclass
class On:
    """A guest was on."""

    since_s: float
    until_s: float | None = None

    def is_at(self, at_s: float) -> bool:
        return self.since_s <= at_s and (self.until_s is None or at_s <= self.until_s)


@dataclass
class Ride:
    """What came of one VPS, in seconds of true time and by the ledger."""

    vps_id: VpsId
    on: list[On] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    paid: list[float] = field(default_factory=list)
    """When each paid minute began."""
    waived: list[float] = field(default_factory=list)
    is_short: bool = False
    """Whether a minute could not be paid."""
    starts: list[float] = field(default_factory=list)
    """When each was admitted."""
    ends_asked: list[float] = field(default_factory=list)
    """When a stop or delete was accepted."""

    def on_s(self) -> float:
        return sum((one.until_s or 0.0) - one.since_s for one in self.on)

    def ran_s(self) -> float:
        """Return for how long it ran: from each first login until it was off, or a stop or delete was accepted."""
        ran = 0.0
        for login, later in pairwise([*self.logins, float("inf")]):
            ends = [one.until_s for one in self.on if one.until_s is not None] + self.ends_asked
            ran += min([later, *(end for end in ends if end > login)]) - login
        return ran

    def free_s(self) -> float:
        """Return for how long it was on beyond what it paid for."""
        return self.on_s() - 60.0 * len(self.paid)

    def uncovered_s(self, since_s: float, until_s: float) -> float:
        """Return for how long it was on between two instants, outside of every paid minute."""
        return sum(
            stretch
            for one in self.on
            for begin, end in _without(max(one.since_s, since_s), min(one.until_s or 0.0, until_s), self.paid)
            if (stretch := end - begin) > 0
        )

    def earned_idly(self) -> list[tuple[float, float]]:
        """Return what was earned at starts in which no paid minute began or lasted: when admitted, and how much."""
        found = []
        for since, until in pairwise([*self.starts, float("inf")]):
            begun = any(since <= at < until for at in self.paid)
            lasted = any(
                since <= login < until and any(p <= login < p + 60 for p in self.paid) for login in self.logins
            )
            if not begun and not lasted:
                found.append((since, self.uncovered_s(since, until)))
        return found


def _without(begin: float, end: float, minutes: Iterable[float]) -> list[tuple[float, float]]:
    """Return what is left of a stretch outside of these minutes."""
    left = []
    for at in sorted(minutes):
        if at + 60 <= begin or at >= end:
            continue
        left.append((begin, max(begin, at)))
        begin = min(end, at + 60)
    return [*left, (begin, max(begin, end))]


@dataclass
class Outcome:
    rides: list[Ride]
    outages_s: float
    at_once: int
    """How many VPSs there were at once."""

    def free_per_start(self) -> float:
        """Return the most that was had for nothing, in seconds a start, outages left out."""
        rates = [(ride.free_s() - self.outages_s) / len(ride.starts) for ride in self.rides]
        return max(rates, default=0.0)
