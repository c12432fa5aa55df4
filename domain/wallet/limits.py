"""Limits: what the minutes of one token's VPSs may cost, in all or a month, to the micro-dollar."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from domain.ids import TokenId
from domain.money import ZERO, MicroUsd, charge_for_minutes
from domain.time import MINUTE, Instant, from_datetime, to_datetime
from domain.wallet.events import LimitWindow, MinuteLine
from domain.wallet.minutes import Stretch

MONTHS_KEPT = 13
"""Of how many months it is known what a token spent: the newest that it spent anything in, and those before it."""
TOTAL = 0
"""The one window of a limit over all time."""


class TokenLimit(msgspec.Struct, frozen=True):
    """What the VPSs of one token may cost, and what they have cost."""

    limit: MicroUsd | None
    """None: they are counted, and may cost anything."""
    window: LimitWindow
    expires_at: Instant | None
    """A minute that begins then or later neither counts nor is limited."""
    spent: dict[int, MicroUsd] = {}
    """By month (``month_of``) of the minutes' beginnings; all under ``TOTAL`` where the window is the total."""

    def window_at(self, at: Instant) -> int:
        """Return the window in which a minute that begins at this instant counts."""
        return TOTAL if self.window == "total" else month_of(at)

    def expired(self, at: Instant) -> bool:
        """Tell whether the token is no longer good at this instant."""
        return self.expires_at is not None and at >= self.expires_at

    def left_in(self, window: int) -> MicroUsd | None:
        """Return what may still be spent in a window; None where there is no limit.

        Of a month so long ago that what was spent in it is not kept, nothing is left.
        """
        if self.limit is None:
            return None
        if self.spent and window <= max(self.spent) - MONTHS_KEPT:
            return ZERO
        return MicroUsd(self.limit - self.spent.get(window, ZERO))

    def left(self, at: Instant) -> MicroUsd | None:
        """Return what a minute that begins at this instant may cost at most; None: anything."""
        return None if self.expired(at) else self.left_in(self.window_at(at))

    def windows(self, first_at: Instant, count: int) -> Iterator[tuple[int, int, int]]:
        """Return where minutes count that begin 60 s after each other: window, after how many, up to which.

        Those that begin once the token has expired are in none.
        """
        counted = count if self.expires_at is None else min(count, _begun_before(first_at, self.expires_at))
        after = 0
        while after < counted:
            window, until = TOTAL, counted
            if self.window == "month":
                window = month_of(Instant(first_at + after * MINUTE))
                until = min(counted, _begun_before(first_at, month_begins(window + 1)))
            yield window, after, until
            after = until


class Allowance(msgspec.Struct, frozen=True):
    """What is left of a limit in one window, and the minutes that are to be paid from it."""

    left: MicroUsd
    parts: tuple[tuple[Stretch, int, int], ...]
    """Stretch, after how many of its minutes, up to which."""

    def covers(self, last: Instant) -> bool:
        """Tell whether it is enough for those of the minutes that begin at ``last`` or before."""
        cost = 0
        for stretch, after, until in self.parts:
            begun = min(stretch.begun_by(last), until)
            if begun > after:
                cost += stretch.cost(begun) - stretch.cost(after)
        return cost <= self.left


def month_of(at: Instant) -> int:
    """Return the month of an instant in UTC, counted from that of the year 0."""
    moment = to_datetime(at)
    return moment.year * 12 + moment.month - 1


def month_begins(month: int) -> Instant:
    """Return when a month begins in UTC."""
    return from_datetime(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC))


def counted(limits: dict[TokenId, TokenLimit], token_id: TokenId | None, line: MinuteLine) -> dict[TokenId, TokenLimit]:
    """Return the limits once paid minutes are counted against a token; those of no token count nowhere."""
    if token_id is None or (limit := limits.get(token_id)) is None:
        return limits
    return {**limits, token_id: _with_spent(limit, line)}


def allowances(limits: Mapping[TokenId, TokenLimit], stretches: Sequence[Stretch]) -> list[Allowance]:
    """Return what is left for these minutes, window by window of each limited token."""
    parts: dict[tuple[TokenId, int], list[tuple[Stretch, int, int]]] = {}
    for stretch in stretches if limits else ():
        token_id = stretch.meter.token_id
        if token_id is None or (limit := limits.get(token_id)) is None or limit.limit is None:
            continue
        for window, after, until in limit.windows(stretch.first_at, stretch.count):
            parts.setdefault((token_id, window), []).append((stretch, after, until))
    return [
        Allowance(left, tuple(drawn))
        for (token_id, window), drawn in parts.items()
        if (left := limits[token_id].left_in(window)) is not None
    ]


def allowed_count(limits: Mapping[TokenId, TokenLimit], run: Stretch, due: int) -> int:
    """Return how many of the first ``due`` minutes can be paid one after the other by their token's limit."""
    token_id = run.meter.token_id
    if token_id is None or (limit := limits.get(token_id)) is None:
        return due
    for window, after, until in limit.windows(run.first_at, due):
        left = limit.left_in(window)
        if left is None:
            return due
        affordable = bisect_right(range(after + 1, until + 1), run.cost(after) + left, key=run.cost)
        if after + affordable < until:
            return after + affordable
    return due


def _with_spent(limit: TokenLimit, line: MinuteLine) -> TokenLimit:
    spent = dict(limit.spent)
    for window, after, until in limit.windows(line.at, line.n_to - line.n_from + 1):
        cost = charge_for_minutes(line.price_hourly, line.n_from + after, line.n_from + until - 1)
        spent[window] = MicroUsd(spent.get(window, ZERO) + cost)
    if len(spent) > MONTHS_KEPT:
        newest = max(spent)
        spent = {month: amount for month, amount in spent.items() if month > newest - MONTHS_KEPT}
    return msgspec.structs.replace(limit, spent=spent)


def _begun_before(first_at: Instant, instant: Instant) -> int:
    """Return how many minutes, the first at ``first_at``, begin before an instant."""
    return max(0, -(-(instant - first_at) // MINUTE))
