"""Entries: a row for each event of a wallet that says something of money, with the balance that it left."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeGuard, get_args
from uuid import UUID

import msgspec

from domain.events import Event
from domain.ids import AccountId, EventId, PaymentId
from domain.money import ZERO, MicroUsd
from domain.statements.statement import EntryKind, Single, entry_of
from domain.time import Instant
from domain.wallet.events import (
    MeterClosed,
    MeterStarted,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
)
from domain.wallet.movements import movement
from projections.charges import CHARGES_SQL, Charges, Recording
from projections.packed import Packed, int4s, int8s, texts, uuids
from projections.read_model import Connection, Entry, ReadModel, columns_of

Kind = Literal[EntryKind, "minutes", "waived"]
"""What an entry is about, as customers are told of it."""

Accounted = Single | MinutesMetered | MinutesWaived
"""Events that are entries: those that move the balance or what is owed, and minutes, also where nobody pays them."""
_ACCOUNTED: frozenset[type[Event]] = frozenset((*get_args(Single), MinutesMetered, MinutesWaived))
_METER_EVENTS = (VpsAdmitted, MeterStarted, VpsReleased, MeterClosed)
_OF_MINUTES = (MinutesMetered, MinutesWaived)

_SQL = """
CREATE TABLE entry (
    account_id uuid NOT NULL,
    recorded_at bigint NOT NULL,
    position bigint NOT NULL,
    version integer NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    amount bigint NOT NULL,
    balance_after bigint NOT NULL,
    owed bigint NOT NULL,
    minutes integer NOT NULL,
    lines_upto bigint NOT NULL,
    payment_id uuid,
    reason text,
    corrects uuid,
    PRIMARY KEY (account_id, recorded_at, position)
);
CREATE UNIQUE INDEX entry_lines ON entry (account_id, lines_upto);
CREATE UNIQUE INDEX entry_of_funds ON entry (account_id, position) WHERE minutes = 0;
CREATE UNIQUE INDEX entry_event ON entry (event_id) WHERE minutes = 0;
"""
_LAST = """
    SELECT asked.account_id, last.balance_after, last.lines_upto
    FROM unnest(%b::uuid[]) AS asked (account_id)
    CROSS JOIN LATERAL (
        SELECT balance_after, lines_upto FROM entry WHERE entry.account_id = asked.account_id
        ORDER BY recorded_at DESC, position DESC LIMIT 1
    ) AS last
"""
_INSERT = """
    INSERT INTO entry (
        account_id, recorded_at, position, version, event_id, kind, amount, balance_after, owed, minutes, lines_upto,
        payment_id, reason, corrects
    )
    SELECT * FROM unnest(
        %b::uuid[], %b::int8[], %b::int8[], %b::int4[], %b::uuid[], %b::text[], %b::int8[], %b::int8[], %b::int8[],
        %b::int4[], %b::int8[], %b::uuid[], %b::text[], %b::uuid[]
    )
"""
_PACKED: tuple[Callable[[Any], Packed | list[Any]], ...] = (
    *(uuids, int8s, int8s, int4s, uuids, texts, int8s, int8s, int8s, int4s, int8s),
    *(list, list, list),  # Of which most are null.
)
"""How each of these columns is made."""
_BALANCE_AT = """
    SELECT balance_after FROM entry WHERE account_id = %s AND recorded_at <= %s
    ORDER BY recorded_at DESC, position DESC LIMIT 1
"""
ENTRY_COLUMNS = """
    recorded_at, position, version, event_id, kind, amount, balance_after, owed, payment_id, reason, corrects
"""
_OF_FUNDS = f"""
    SELECT {ENTRY_COLUMNS} FROM entry WHERE minutes = 0 AND account_id = %s AND position >= (
        SELECT position FROM entry WHERE account_id = %s AND recorded_at >= %s ORDER BY recorded_at, position LIMIT 1
    ) AND recorded_at < %s
    ORDER BY position
"""  # noqa: S608


class EntryRow(msgspec.Struct, frozen=True):
    """One event of a wallet that says something of funds."""

    recorded_at: Instant
    position: int
    version: int
    """In the stream of the wallet."""
    event_id: EventId
    kind: EntryKind
    amount: MicroUsd
    """By how much the balance moved."""
    balance_after: MicroUsd
    owed: MicroUsd
    """By how much what the account owes moved."""
    payment_id: PaymentId | None
    reason: str | None
    """Sealed."""
    corrects: EventId | None


async def balance_at(connection: Connection, account_id: AccountId, instant: Instant) -> MicroUsd:
    """Return the balance as recorded by an instant, that instant included; nothing before there was an account."""
    row = await (await connection.execute(_BALANCE_AT, [account_id, instant])).fetchone()
    return ZERO if row is None else MicroUsd(row[0])


async def entries_of(connection: Connection, account_id: AccountId, since: Instant, until: Instant) -> list[EntryRow]:
    """Return what was recorded of funds from ``since`` to before ``until``, oldest first.

    Minutes are left out: they are told by ``charge``.
    """
    cursor = await connection.execute(_OF_FUNDS, [account_id, account_id, since, until])
    return [EntryRow(*row) for row in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    charges = Charges()
    left = await _left_by_last(connection, batch)
    rows: list[tuple[object, ...]] = []
    for entry in batch:
        if not _is_accounted(event := entry.event):
            charges.add_meter_event(entry)
            continue
        recorded, account_id = entry.recorded, event.account_id
        balance, lines = left.get(account_id, (0, 0))
        event_id = entry.event_id
        kind, amount, owed, *told = _told(event, event_id, recorded.recorded_at)
        minutes = _minutes(event)
        balance, lines = balance + amount, lines + (minutes or 1)
        left[account_id] = balance, lines
        where = (account_id, recorded.recorded_at, recorded.position, recorded.version, event_id)
        rows.append((*where, kind, amount, balance, owed, minutes, lines, *told))
        if isinstance(event, _OF_MINUTES):
            at = Recording(account_id, recorded.position, recorded.version, recorded.recorded_at, MicroUsd(balance))
            charges.add(event, at)
    if rows:
        columns = [pack(column) for pack, column in zip(_PACKED, columns_of(rows), strict=True)]
        await connection.execute(_INSERT, columns)
    await charges.write(connection)


def _is_accounted(event: Event) -> TypeGuard[Accounted]:
    return type(event) in _ACCOUNTED


async def _left_by_last(connection: Connection, batch: Sequence[Entry]) -> dict[UUID, tuple[int, int]]:
    account_ids = {event.account_id for entry in batch if _is_accounted(event := entry.event)}
    cursor = await connection.execute(_LAST, [list(account_ids)])
    return {account_id: (balance, lines) for account_id, balance, lines in await cursor.fetchall()}


def _minutes(event: Accounted) -> int:
    if not isinstance(event, _OF_MINUTES):
        return 0
    return sum([line.n_to - line.n_from + 1 for line in event.lines])


def _told(
    event: Accounted, event_id: EventId, at: Instant
) -> tuple[Kind, int, int, UUID | None, str | None, UUID | None]:
    """Return kind, movements of the balance and of what is owed, payment, reason, and the event that is corrected."""
    match event:
        case MinutesMetered():
            return "minutes", movement(event), 0, None, None, None
        case MinutesWaived():
            return "waived", 0, 0, None, None, None
        case _:
            told = entry_of(event, event_id, at)
            return told.kind, told.amount, told.owed, told.payment_id, told.reason, told.corrects


ENTRIES = ReadModel(
    name="entries",
    tables=("entry", "charge", "meter_event"),
    sql=_SQL + CHARGES_SQL,
    events=(
        *get_args(Single),
        *(MinutesMetered, MinutesWaived, *_METER_EVENTS),
    ),
    apply=_apply,
)
