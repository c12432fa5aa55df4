"""Minutes as the contract's words have them (3.3, 3.4, 3.5), sharing no code with the product.

Instants are microseconds, amounts micro-USD. Where the words leave something open, the docstring says how it is taken.
"""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

MINUTE = 60_000_000

How = Literal["paid", "unproven", "unpaid", "limit"]
"""A minute is paid, or waived: not proven, not covered by the balance, or past its token's limit."""


def charge(price_hourly: int, n: int) -> int:
    """Return what the n-th minute of a VPS costs: 60 in a row at one price cost exactly that price."""
    return price_hourly * n // 60 - price_hourly * (n - 1) // 60


@dataclass(eq=False)
class Start:
    """One start of a VPS, from its admission: when the guest ran, and how far that is proven."""

    login: int | None = None
    """The first login that the service made into it. A start that never had one is boot, and free."""
    proven_until: int = -1
    off_wanted_at: int | None = None
    """When a stop or delete was accepted from outside."""
    shown_off_at: int | None = None
    stopped_for: How | None = None
    """Why the service asked for a stop itself. That ends no running: what runs until it takes hold is waived."""
    free_from: int | None = None
    """Nothing that begins from here on is charged, since the account owes something (the contract is silent on it)."""

    @property
    def end(self) -> int | None:
        """When it ran no more: the host shows it off, or a stop or delete was accepted, whichever is first."""
        return min((at for at in (self.off_wanted_at, self.shown_off_at) if at is not None), default=None)

    def runs_at(self, at: int) -> bool:
        return self.login is not None and self.login <= at and (self.end is None or at < self.end)

    def is_charged(self, at: int) -> bool:
        return self.stopped_for is None and (self.free_from is None or at < self.free_from)


@dataclass(frozen=True)
class Minute:
    """The n-th minute of a VPS: when it began, in which start, and what came of it."""

    n: int
    at: int
    start: Start
    how: How
    amount: int


@dataclass(eq=False)
class Life:
    """One VPS: its starts, in order, and the minutes that came of them."""

    id: UUID
    created: int
    plan: UUID
    token: UUID | None = None
    starts: list[Start] = field(default_factory=list)
    minutes: list[Minute] = field(default_factory=list)

    def next_minute(self) -> tuple[int, Start] | None:
        """Return t(n + 1), and the start in which it is; None if it has not begun.

        t(1) is the first instant at which it runs, t(n + 1) the first at or after t(n) + 60 s. Only a paid minute
        covers a later start: after one that ended with a waived minute, the next begins its first at its own login.
        A paid minute does so whatever was waived after it: where the clock has stepped back into it, a login lies
        within 60 s that are paid, and a clock that steps back charges nothing twice.
        """
        since = self.starts.index(self.minutes[-1].start) if self.minutes else 0
        for start in self.starts[since:]:
            if start.login is None:
                continue
            covering = (one for one in reversed(self.minutes) if one.start is start or one.how == "paid")
            last = next(covering, None)
            at = start.login if last is None else max(start.login, last.at + MINUTE)
            if start.runs_at(at):
                return at, start
        return None

    def is_on(self) -> bool:
        """Return whether it is on in the sense of an admission: wanted on, and not about to be switched off unpaid."""
        start = self.starts[-1]
        return start.end is None and start.stopped_for is None and start.free_from is None
