"""Transactions: an account's entries and charges as one list, newest first, and its minutes one by one."""

from uuid import UUID

import msgspec

from domain.ids import AccountId, EventId, PaymentId, PlanId, TokenId, VpsId
from domain.money import MicroUsd
from domain.time import Instant
from projections.entries import Kind
from projections.read_model import Connection

BEYOND_ALL = 2**62
"""Past every position and every count of lines."""
BEFORE_ALL = (-1, 0)
"""Before every position and place."""

_POSITION_SINCE = """
    SELECT position, lines_upto - greatest(minutes, 1) FROM entry WHERE account_id = %s AND recorded_at >= %s
    ORDER BY recorded_at, position LIMIT 1
"""
_LINES = "SELECT max(lines_upto) FROM entry WHERE account_id = %s"
_FUNDS = """
    FROM entry WHERE account_id = %(account_id)s AND minutes = 0
        AND position >= %(since)s AND position < %(until)s AND (position, 0) < (%(before)s, %(before_place)s)
        AND (position, 0) > (%(after)s, %(after_place)s)
        AND (%(kind)s::text IS NULL OR kind = %(kind)s)
"""
_CHARGES = """
    FROM charge WHERE account_id = %(account_id)s
        AND first_position >= %(since)s AND first_position < %(until)s
        AND (first_position, place) < (%(before)s, %(before_place)s)
        AND (first_position, place) > (%(after)s, %(after_place)s)
"""
_OF_KIND = "        AND (cause = 'paid') = (%(kind)s = 'minutes')\n"
_OF_VPS = "        AND vps_id = %(vps_id)s\n"
_FUNDS_COLUMNS = """
    position, 0, recorded_at, event_id, kind, amount, balance_after, owed, payment_id, reason, corrects,
    NULL::uuid, NULL, NULL::uuid, NULL::int8, NULL::int8, NULL::int4, NULL::int4, minutes, NULL::int8
"""
_CHARGES_COLUMNS = """
    first_position, place, first_recorded_at, NULL::uuid, CASE WHEN cause = 'paid' THEN 'minutes' ELSE 'waived' END,
    CASE WHEN cause = 'paid' THEN -amount ELSE 0 END, balance_after, 0::int8, NULL::uuid, NULL, NULL::uuid,
    vps_id, cause, plan_id, price_hourly, at, n_from, n_to, minutes, amount
"""
_PAGE = """
    SELECT page.*, (
        SELECT token_id FROM meter_event WHERE meter_event.vps_id = page.vps_id AND meter_event.kind = 'admitted'
        ORDER BY version LIMIT 1
    )
    FROM (
        SELECT * FROM ({parts}) AS lines (
            position, place, recorded_at, event_id, kind, amount, balance_after, owed, payment_id, reason, corrects,
            vps_id, cause, plan_id, price_hourly, at, n_from, n_to, minutes, cost
        )
        ORDER BY position {way}, place {way} LIMIT %(limit)s OFFSET %(offset)s
    ) AS page
    ORDER BY position DESC, place DESC
"""
_FUNDS_PART = f"(SELECT {_FUNDS_COLUMNS} {_FUNDS} ORDER BY position {{way}} LIMIT %(most)s)"
_CHARGES_PART = f"SELECT {_CHARGES_COLUMNS} {_CHARGES}"
_CHARGES_END = "ORDER BY first_position {way}, place {way} LIMIT %(most)s"
_ENTRIES_OF_LINES = """
    SELECT position, recorded_at, version, event_id, kind, amount, balance_after, owed, minutes, lines_upto,
        payment_id, reason, corrects
    FROM entry WHERE account_id = %(account_id)s AND lines_upto >= %(first)s AND lines_upto <= (
        SELECT lines_upto FROM entry WHERE account_id = %(account_id)s AND lines_upto >= %(last)s
        ORDER BY lines_upto LIMIT 1
    )
    ORDER BY lines_upto DESC
"""
_TOKENS = """
    SELECT DISTINCT ON (vps_id) vps_id, token_id FROM meter_event WHERE vps_id = ANY(%b::uuid[]) AND kind = 'admitted'
    ORDER BY vps_id, version
"""


class Transaction(msgspec.Struct, frozen=True):
    """An event about funds, or minutes of one VPS that begin within an hour at one price."""

    position: int
    """Of minutes, that of the first of them: there they stay while more are added."""
    place: int
    """Which of those at one position."""
    recorded_at: Instant
    event_id: EventId | None
    """None for minutes, which any number of events told of."""
    kind: Kind
    amount: MicroUsd
    """By how much the balance moved."""
    balance_after: MicroUsd
    """Of minutes, that after the last of them."""
    owed: MicroUsd
    payment_id: PaymentId | None
    reason: str | None
    """Sealed."""
    corrects: EventId | None
    vps_id: VpsId | None
    cause: str | None
    """``paid``, or why the minutes were waived."""
    plan_id: PlanId | None
    price_hourly: MicroUsd | None
    at: Instant | None
    """When the first minute began."""
    n_from: int | None
    n_to: int | None
    minutes: int
    cost: MicroUsd | None
    """What minutes cost, or would have cost where they were waived."""
    token_id: TokenId | None


class EntryOfLines(msgspec.Struct, frozen=True):
    """An event of a wallet with the count of lines, one a minute, that there are up to it."""

    position: int
    recorded_at: Instant
    version: int
    event_id: EventId
    kind: Kind
    amount: MicroUsd
    balance_after: MicroUsd
    owed: MicroUsd
    minutes: int
    lines_upto: int
    payment_id: PaymentId | None
    reason: str | None
    corrects: EventId | None


class TransactionFilter(msgspec.Struct, frozen=True):
    """Which transactions are wanted."""

    account_id: AccountId
    kind: Kind | None = None
    vps_id: VpsId | None = None
    since: int = 0
    """The first position."""
    until: int = BEYOND_ALL
    """The position before which they are."""
    before: tuple[int, int] = (BEYOND_ALL, 0)
    """The position and place before which they are."""
    after: tuple[int, int] = BEFORE_ALL
    """The position and place after which they are: then the oldest of them are wanted, not the newest."""


async def first_since(connection: Connection, account_id: AccountId, at: Instant) -> tuple[int, int]:
    """Return the position of the first entry recorded at an instant or later, and how many lines are before it."""
    row = await (await connection.execute(_POSITION_SINCE, [account_id, at])).fetchone()
    if row is not None:
        return row[0], row[1]
    return BEYOND_ALL, await lines_of(connection, account_id)


async def lines_of(connection: Connection, account_id: AccountId) -> int:
    """Return how many lines there are in all: one a minute, and one for each event about funds."""
    row = await (await connection.execute(_LINES, [account_id])).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


async def transactions_of(
    connection: Connection, wanted: TransactionFilter, limit: int, offset: int
) -> tuple[list[Transaction], int]:
    """Return transactions, newest first, and how many there are in all, whichever page is looked at."""
    before, before_place = wanted.before
    after, after_place = wanted.after
    asked = msgspec.structs.asdict(wanted) | {"before": before, "before_place": before_place}
    asked |= {"after": after, "after_place": after_place}
    asked |= {"limit": limit, "offset": offset, "most": limit + offset}
    parts = []
    counted = []
    if wanted.vps_id is None and wanted.kind not in ("minutes", "waived"):
        parts.append(_FUNDS_PART)
        counted.append(_FUNDS)
    if wanted.kind in (None, "minutes", "waived"):
        # Only what is asked for is looked at, so that counting all of them needs the index alone.
        only = ("" if wanted.vps_id is None else _OF_VPS) + ("" if wanted.kind is None else _OF_KIND)
        parts.append(f"({_CHARGES_PART}{only}{_CHARGES_END})")
        counted.append(_CHARGES + only)
    if not parts:
        return [], 0
    count = "SELECT " + " + ".join(f"(SELECT count(*) {part})" for part in counted)
    everything = asked | {"before": BEYOND_ALL, "before_place": 0, "after": -1, "after_place": 0}
    total = await (await connection.execute(count.encode(), everything)).fetchone()
    assert total is not None
    way = "DESC" if wanted.after == BEFORE_ALL else "ASC"
    page = _PAGE.replace("{parts}", " UNION ALL ".join(parts)).replace("{way}", way)
    cursor = await connection.execute(page.encode(), asked)
    return [Transaction(*row) for row in await cursor.fetchall()], total[0]


async def entries_of_lines(connection: Connection, account_id: AccountId, first: int, last: int) -> list[EntryOfLines]:
    """Return the events that the lines ``first`` to ``last`` are of, newest first; the first line is 1."""
    asked = {"account_id": account_id, "first": first, "last": last}
    cursor = await connection.execute(_ENTRIES_OF_LINES, asked)
    return [EntryOfLines(*row) for row in await cursor.fetchall()]


async def tokens_of(connection: Connection, vps_ids: list[VpsId]) -> dict[VpsId, TokenId | None]:
    """Return which token each VPS counts against."""
    cursor = await connection.execute(_TOKENS, [list[UUID](vps_ids)])
    return {VpsId(vps_id): token_id for vps_id, token_id in await cursor.fetchall()}
