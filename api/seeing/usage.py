"""Usage as customers ask for it: minutes and money within a time, by VPS, token, label and day."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Literal

import msgspec

from api.runtime import Runtime
from api.seeing.minutes import lines_in, minute_of
from api.seeing.reading import seen, vpss_in_the_clear
from domain.ids import AccountId, TokenId, VpsId, wallet_stream
from domain.money import MicroUsd, charge_for_minutes
from domain.time import HOUR, MINUTE, Instant
from projections.charges import PAID
from projections.transactions import tokens_of
from projections.usage import HOURS_PER_DAY, ChargedHour, Used, charged_hours, used_in_hours

Grouping = Literal["vps", "token", "label", "day"]


class Key(msgspec.Struct, frozen=True):
    """What a group has in common; None where it is not grouped by that, or there is none."""

    vps_id: VpsId | None = None
    token_id: TokenId | None = None
    label: str | None = None
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


async def usage_of(
    runtime: Runtime, account_id: AccountId, since: Instant, until: Instant, grouping: Collection[Grouping]
) -> tuple[Sum, dict[Key, Sum]]:
    """Return the sum of the minutes that begin from ``since`` to before ``until``, and that of each group.

    A VPS counts in the group of each of its labels, so these may come to more than there is in all.
    """
    by_day = "day" in grouping
    async with seen(runtime) as connection:
        first, end = -(-since // HOUR), until // HOUR
        used = []
        if first < end:
            used = await used_in_hours(connection, account_id, first, end, by_day=by_day)
        cut = {at // HOUR for at in (since, until) if at % HOUR}
        for row in await charged_hours(connection, account_id, cut) if cut else ():
            used += [one async for one in _within(runtime, account_id, row, since, until, by_day=by_day)]
        vps_ids = {one.vps_id for one in used}
        vpss = await vpss_in_the_clear(runtime, connection, account_id, vps_ids) if "label" in grouping else {}
        tokens = await tokens_of(connection, list(vps_ids)) if "token" in grouping else {}
    labels = {vps_id: [f"{key}={value}" for key, value in _labels(vps.labels).items()] for vps_id, vps in vpss.items()}
    total = Sum()
    groups: defaultdict[Key, Sum] = defaultdict(Sum)
    for one in used:
        total.add(one)
        of_labels: Sequence[str | None] = labels.get(one.vps_id) or (None,)
        for label in of_labels:
            key = Key(one.vps_id if "vps" in grouping else None, tokens.get(one.vps_id), label, one.day)
            groups[key].add(one)
    return total, dict(groups)


async def _within(
    runtime: Runtime, account_id: AccountId, row: ChargedHour, since: Instant, until: Instant, *, by_day: bool
) -> AsyncIterator[Used]:
    """Yield those minutes of a row that begin within the time, to the minute."""
    day = row.hour // HOURS_PER_DAY if by_day else None
    if row.last_at - row.at == (row.n_to - row.n_from) * MINUTE and row.minutes == row.n_to - row.n_from + 1:
        first = max(0, -(-(since - row.at) // MINUTE))
        count = min(row.minutes, -(-(until - row.at) // MINUTE)) - first
        if count > 0:
            n = row.n_from + first
            yield Used(row.vps_id, row.cause, day, count, charge_for_minutes(row.price_hourly, n, n + count - 1))
        return
    # Within this hour the VPS was off for a while, so only the events know when each began.
    recorded = await runtime.store.read_stream(wallet_stream(account_id), row.first_version - 1, row.last_version)
    for event in recorded:
        cause, lines = lines_in(event)
        for line in lines:
            # By its version, not by its price: a price that comes again is another row.
            if (line.vps_id, cause, line.price_version) != (row.vps_id, row.cause, row.price_version):
                continue
            for n in range(line.n_from, line.n_to + 1):
                minute = minute_of(line, n, cause)
                if since <= minute.at < until and minute.at // HOUR == row.hour:
                    yield Used(row.vps_id, cause, day, 1, minute.cost)


def _labels(labels: str | None) -> dict[str, str]:
    try:
        return msgspec.json.decode(labels, type=dict[str, str]) if labels else {}
    except msgspec.DecodeError:
        return {}  # Erased with the account's key.
