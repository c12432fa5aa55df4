"""Usage as customers ask for it: minutes and money within a time, by VPS, token, label and day."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal

import msgspec

from api.application.billing.minutes import Minute, lines_in, minute_of
from api.application.billing.vps_names import decrypted_vpss
from api.application.caller import Caller
from api.application.reading import caught_up_connection
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain.errors import Invalid
from domain.ids import AccountId, TokenId, VpsId, wallet_stream
from domain.money import MicroUsd, charge_for_minutes
from domain.statements.month import month_of
from domain.time import HOUR, MINUTE, Instant
from projections.charges import PAID
from projections.entries import ENTRIES
from projections.transactions import tokens_of
from projections.usage import HOURS_PER_DAY, ChargedHour, Used, charged_hours, used_in_hours
from projections.vps import VPS

Grouping = Literal["vps", "token", "label", "day"]

SPAN_MAX = 366 * 24 * HOUR
GROUPS_MAX = 10_000


class Key(msgspec.Struct, frozen=True):
    """What a group has in common; None where it is not grouped by that, or there is none."""

    vps_id: VpsId | None = None
    token_id: TokenId | None = None
    label: tuple[str, str] | None = None
    """Key and value."""
    day: int | None = None


class Sum(msgspec.Struct):
    """Minutes and money of a group."""

    minutes: int = 0
    amount: MicroUsd = MicroUsd(0)
    waived_minutes: int = 0
    waived: MicroUsd = MicroUsd(0)
    """What the waived ones would have cost."""

    def add(self, used: Used) -> None:
        """Take in more."""
        if used.cause == PAID:
            self.minutes += used.minutes
            self.amount = MicroUsd(self.amount + used.amount)
        else:
            self.waived_minutes += used.minutes
            self.waived = MicroUsd(self.waived + used.amount)


class Usage(msgspec.Struct, frozen=True):
    """What was used within a time, in all and by group."""

    since: Instant
    until: Instant
    total: Sum
    groups: dict[Key, Sum]


async def get_usage(
    runtime: Runtime, caller: Caller, since: Instant | None, until: Instant | None, grouping: Collection[Grouping]
) -> Usage:
    """Return minutes and money of the account by group, deleted VPSs included.

    ``since``: None: from the month's first on; ``until``: None: now. Raises Invalid or ProjectionBehind.
    """
    now = runtime.clock.now()
    # What begins at this very instant has begun.
    end = Instant(now + 1) if until is None else until
    begin = month_of(Instant(max(0, end - 1))).begins if since is None else since
    if not 0 <= end - begin <= SPAN_MAX:
        raise Invalid(fields={"from": "must be before to, by 366 days at most"})
    total, groups = await usage_of(runtime, caller.account_id, begin, end, grouping)
    if len(groups) > GROUPS_MAX:
        raise Invalid(fields={"group_by": f"more than {GROUPS_MAX} groups: ask for a shorter time, or fewer at once"})
    return Usage(begin, now if until is None else end, total, groups)


async def usage_of(
    runtime: Runtime, account_id: AccountId, since: Instant, until: Instant, grouping: Collection[Grouping]
) -> tuple[Sum, dict[Key, Sum]]:
    """Return the sum of the minutes that begin from ``since`` to before ``until``, and that of each group.

    A VPS counts in the group of each of its labels, so these may come to more than there is in all.
    """
    by_day = "day" in grouping
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        first, end = -(-since // HOUR), until // HOUR
        used = []
        if first < end:
            used = await used_in_hours(connection, account_id, first, end, by_day=by_day)
        cut = {at // HOUR for at in (since, until) if at % HOUR}
        if cut:
            rows = await charged_hours(connection, account_id, cut)
            used += await _cut_hours(runtime, account_id, rows, since, until, by_day=by_day)
        vps_ids = {one.vps_id for one in used}
        vpss = await decrypted_vpss(runtime, connection, account_id, vps_ids) if "label" in grouping else {}
        tokens = await tokens_of(connection, list(vps_ids)) if "token" in grouping else {}
    labels = {vps_id: list(_labels(vps.labels).items()) for vps_id, vps in vpss.items()}
    total = Sum()
    groups: defaultdict[Key, Sum] = defaultdict(Sum)
    for one in used:
        total.add(one)
        of_labels: Sequence[tuple[str, str] | None] = labels.get(one.vps_id) or (None,)
        for label in of_labels:
            key = Key(one.vps_id if "vps" in grouping else None, tokens.get(one.vps_id), label, one.day)
            groups[key].add(one)
    return total, dict(groups)


async def _cut_hours(
    runtime: Runtime,
    account_id: AccountId,
    rows: Sequence[ChargedHour],
    since: Instant,
    until: Instant,
    *,
    by_day: bool,
) -> list[Used]:
    """Return those minutes of rows that begin within the time, to the minute."""
    used, with_pauses = [], defaultdict(list)
    for row in rows:
        if row.last_at - row.at != (row.n_to - row.n_from) * MINUTE or row.minutes != row.n_to - row.n_from + 1:
            with_pauses[row.hour].append(row)
            continue
        first = max(0, -(-(since - row.at) // MINUTE))
        count = min(row.minutes, -(-(until - row.at) // MINUTE)) - first
        if count > 0:
            n = row.n_from + first
            cost = charge_for_minutes(row.price_hourly, n, n + count - 1)
            used.append(Used(row.vps_id, row.cause, _day(row.hour, by_day=by_day), count, cost))
    for hour, paused in with_pauses.items():
        day = _day(hour, by_day=by_day)
        async for minute in _one_by_one(runtime, account_id, hour, paused):
            if since <= minute.at < until:
                used.append(Used(minute.vps_id, minute.cause, day, 1, minute.cost))
    return used


async def _one_by_one(
    runtime: Runtime, account_id: AccountId, hour: int, rows: Sequence[ChargedHour]
) -> AsyncIterator[Minute]:
    """Yield the minutes of rows of an hour within which their VPSs were off: only the events know when each began.

    However many rows there are, the events of the hour are read once.
    """
    wanted = defaultdict(list)
    for row in rows:
        # By its version, not by its price: a price that comes again is another row.
        wanted[row.vps_id, row.cause, row.price_version].append(range(row.first_version, row.last_version + 1))
    first, last = min(row.first_version for row in rows), max(row.last_version for row in rows)
    async for event in events_between(runtime.store, wallet_stream(account_id), first - 1, last):
        cause, lines = lines_in(event)
        for line in lines:
            if not any(event.version in found for found in wanted.get((line.vps_id, cause, line.price_version), ())):
                continue
            for n in range(line.n_from, line.n_to + 1):
                minute = minute_of(line, n, cause)
                if minute.at // HOUR == hour:
                    yield minute


def _day(hour: int, *, by_day: bool) -> int | None:
    return hour // HOURS_PER_DAY if by_day else None


def _labels(labels: str | None) -> dict[str, str]:
    try:
        return msgspec.json.decode(labels, type=dict[str, str]) if labels else {}
    except msgspec.DecodeError:
        return {}  # Erased with the account's key.
