"""Usage: the minutes of an account that begin within a time, by VPS, cause and day."""

from collections.abc import Collection

import msgspec

from domain.ids import AccountId, VpsId
from domain.money import MicroUsd
from domain.time import HOUR, Instant
from projections.read_model import Connection
from projections.transactions import first_since

HOURS_PER_DAY = 24
CLOCKS_APART = 24 * HOUR
"""No minute is recorded so long before it begins, however far two clocks are apart."""
_WHOLE = """
    SELECT vps_id, cause, {day}, sum(minutes)::int8, sum(amount)::int8 FROM charge
    WHERE account_id = %(account_id)s AND first_position >= %(since)s AND hour >= %(first)s AND hour < %(end)s
    GROUP BY 1, 2, 3
"""
_IN_HOURS = """
    SELECT vps_id, cause, hour, price_version, price_hourly, n_from, n_to, minutes, at, last_at, first_version,
        last_version
    FROM charge WHERE account_id = %(account_id)s AND first_position >= %(since)s AND hour = ANY(%(hours)s::int4[])
"""


class Used(msgspec.Struct, frozen=True):
    """Minutes of one VPS, all paid or all waived for one cause, and of one day where days are told apart."""

    vps_id: VpsId
    cause: str
    day: int | None
    """In UTC, counted from 1970-01-01."""
    minutes: int
    amount: MicroUsd


class ChargedHour(msgspec.Struct, frozen=True):
    """A row of minutes that begin within an hour, with where its events are in the stream of the wallet."""

    vps_id: VpsId
    cause: str
    hour: int
    price_version: int
    price_hourly: MicroUsd
    n_from: int
    n_to: int
    minutes: int
    at: Instant
    last_at: Instant
    first_version: int
    last_version: int


async def used_in_hours(
    connection: Connection, account_id: AccountId, first: int, end: int, *, by_day: bool
) -> list[Used]:
    """Return the minutes that begin in the whole hours from ``first`` to before ``end``, counted from 1970."""
    since, _ = await first_since(connection, account_id, Instant(first * HOUR - CLOCKS_APART))
    query = _WHOLE.format(day=f"hour / {HOURS_PER_DAY}" if by_day else "NULL::int4")
    asked = {"account_id": account_id, "since": since, "first": first, "end": end}
    cursor = await connection.execute(query.encode(), asked)
    return [Used(*row) for row in await cursor.fetchall()]


async def charged_hours(connection: Connection, account_id: AccountId, hours: Collection[int]) -> list[ChargedHour]:
    """Return the rows of these hours."""
    since, _ = await first_since(connection, account_id, Instant(min(hours) * HOUR - CLOCKS_APART))
    asked = {"account_id": account_id, "since": since, "hours": list(hours)}
    cursor = await connection.execute(_IN_HOURS, asked)
    return [ChargedHour(*row) for row in await cursor.fetchall()]
