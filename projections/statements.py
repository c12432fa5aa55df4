"""What statements are made of: months in which something moved, what statements were issued, and entries of a month."""

from collections.abc import Sequence
from typing import get_args
from uuid import UUID

import msgspec

from domain.ids import AccountId
from domain.money import MicroUsd
from domain.statements.events import StatementIssued
from domain.statements.month import Month, month_of
from domain.statements.statement import Entry, Minutes, Single
from domain.time import Instant
from domain.wallet.events import MinutesMetered, MinutesWaived, WalletOpened
from projections.charges import PAID, recorded_month
from projections.entries import entries_of
from projections.read_model import Connection, ReadModel, columns_of
from projections.read_model import Entry as RecordedEntry

_SQL = """
CREATE TABLE wallet_opened (
    account_id uuid PRIMARY KEY,
    at bigint NOT NULL
);
CREATE TABLE statement_moved (
    account_id uuid NOT NULL,
    month text NOT NULL,
    PRIMARY KEY (account_id, month)
);
CREATE TABLE statement_issued (
    account_id uuid NOT NULL,
    month text NOT NULL,
    issued_at bigint NOT NULL,
    issued text NOT NULL,
    PRIMARY KEY (account_id, month)
);
"""
_OPENED = """
    INSERT INTO wallet_opened (account_id, at) SELECT * FROM unnest(%b::uuid[], %b::bigint[])
    ON CONFLICT (account_id) DO NOTHING
"""
_MOVED = """
    INSERT INTO statement_moved (account_id, month) SELECT * FROM unnest(%b::uuid[], %b::text[])
    ON CONFLICT (account_id, month) DO NOTHING
"""
_ISSUED = """
    INSERT INTO statement_issued (account_id, month, issued_at, issued)
    SELECT * FROM unnest(%b::uuid[], %b::text[], %b::bigint[], %b::text[])
    ON CONFLICT (account_id, month) DO NOTHING
"""
_OPENED_AT = "SELECT at FROM wallet_opened WHERE account_id = %s"
_OWED_BEFORE = """
    SELECT coalesce(sum(owed), 0)::bigint FROM entry WHERE account_id = %s AND minutes = 0 AND recorded_at < %s
"""
_OF_FUNDS_AMONG = "SELECT event_id FROM entry WHERE event_id = ANY(%b::uuid[]) AND minutes = 0"
_MINUTES = """
    SELECT vps_id, plan_id, price_version, price_hourly, nullif(cause, %s), sum(minutes)::bigint, min(n_from),
        max(n_to), sum(amount)::bigint
    FROM charge WHERE account_id = %s AND month = %s
    GROUP BY vps_id, plan_id, price_version, price_hourly, cause
    ORDER BY min(first_position), min(place)
"""
_ISSUED_OF = "SELECT issued_at, issued FROM statement_issued WHERE account_id = %s ORDER BY month DESC"
_DUE = """
    SELECT moved.account_id, moved.month FROM statement_moved AS moved
    LEFT JOIN statement_issued AS issued USING (account_id, month)
    WHERE moved.month < %s AND issued.account_id IS NULL AND (moved.month, moved.account_id) > (%s, %s)
    ORDER BY moved.month, moved.account_id LIMIT %s
"""

_BEFORE_ALL = UUID(int=0)

_decode_issued = msgspec.json.Decoder(StatementIssued).decode


class Issued(msgspec.Struct, frozen=True):
    """A statement that was issued, and when."""

    at: Instant
    statement: StatementIssued


async def wallet_opened_at(connection: Connection, account_id: AccountId) -> Instant | None:
    """Return when an account's wallet was opened; None where there is none."""
    row = await (await connection.execute(_OPENED_AT, [account_id])).fetchone()
    return None if row is None else Instant(row[0])


async def single_entries(connection: Connection, account_id: AccountId, month: Month) -> tuple[Entry, ...]:
    """Return the entries of a month that are no minutes; their reasons are sealed. Reads the entries' tables."""
    rows = await entries_of(connection, account_id, month.begins, month.ends)
    corrected = [row.corrects for row in rows if row.corrects is not None]
    # What was put right is a credit where it is an entry of funds, and minutes otherwise.
    cursor = await connection.execute(_OF_FUNDS_AMONG, [corrected])
    of_credits = {event_id for (event_id,) in await cursor.fetchall()}
    return tuple(
        Entry(
            event_id=row.event_id,
            at=row.recorded_at,
            kind=row.kind,
            amount=row.amount,
            owed=row.owed,
            payment_id=row.payment_id,
            corrects=row.corrects,
            of_charge=row.corrects is not None and row.corrects not in of_credits,
            reason=row.reason,
        )
        for row in rows
    )


async def minutes_of_month(connection: Connection, account_id: AccountId, month: Month) -> tuple[Minutes, ...]:
    """Return the minutes that were recorded in a month, paid and waived. Reads the entries' tables."""
    cursor = await connection.execute(_MINUTES, [PAID, account_id, recorded_month(month.begins)])
    return tuple(Minutes(*row) for row in await cursor.fetchall())


async def owed_before(connection: Connection, account_id: AccountId, at: Instant) -> MicroUsd:
    """Return what an account owed just before an instant. Reads the entries' tables."""
    row = await (await connection.execute(_OWED_BEFORE, [account_id, at])).fetchone()
    assert row is not None
    return MicroUsd(row[0])


async def issued_statements(connection: Connection, account_id: AccountId) -> list[Issued]:
    """Return the statements of an account that have a number, the newest month first."""
    cursor = await connection.execute(_ISSUED_OF, [account_id])
    return [Issued(Instant(at), _decode_issued(stored)) for at, stored in await cursor.fetchall()]


async def statements_due(
    connection: Connection, before: Month, after: tuple[AccountId, Month] | None, limit: int
) -> list[tuple[AccountId, str]]:
    """Return accounts and months before one in which something moved, and whose statement has no number yet.

    By months, then accounts, past ``after``.
    """
    past = ("", _BEFORE_ALL) if after is None else (str(after[1]), after[0])
    cursor = await connection.execute(_DUE, [str(before), *past, limit])
    return [(AccountId(account_id), month) for account_id, month in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[RecordedEntry]) -> None:
    opened: list[tuple[AccountId, Instant]] = []
    moved: set[tuple[AccountId, Month]] = set()
    issued: list[tuple[AccountId, str, Instant, str]] = []
    for folded in batch:
        event, at = folded.event, folded.recorded.recorded_at
        match event:
            case WalletOpened():
                opened.append((event.account_id, at))
            case StatementIssued():
                issued.append((event.account_id, event.month, at, msgspec.json.encode(event).decode()))
            case MinutesMetered() | MinutesWaived():
                moved.add((event.account_id, month_of(at)))
            case _:
                assert isinstance(event, Single)
                moved.add((event.account_id, month_of(at)))
    months = [(account_id, str(month)) for account_id, month in moved]
    for statement, rows in ((_OPENED, opened), (_MOVED, months), (_ISSUED, issued)):
        if rows:
            await connection.execute(statement, columns_of(rows))


STATEMENTS = ReadModel(
    name="statements",
    tables=("wallet_opened", "statement_moved", "statement_issued"),
    sql=_SQL,
    events=(WalletOpened, *get_args(Single), MinutesMetered, MinutesWaived, StatementIssued),
    apply=_apply,
    keeps=(StatementIssued,),
)
