"""Statements computed from the read models, at most a few thousand rows each."""

from collections.abc import Collection

import msgspec

from domain.errors import InvariantBroken
from domain.ids import AccountId, VpsId
from domain.ports import EventStore, Sealer
from domain.statements.month import Month, parse_month
from domain.statements.statement import Entry, Statement
from domain.time import Instant
from projections.entries import ENTRIES, balance_at
from projections.read_model import Connection
from projections.reading import ReadModels
from projections.statements import (
    STATEMENTS,
    Issued,
    issued_statements,
    minutes_of_month,
    owed_before,
    single_entries,
    statements_due,
    wallet_opened_at,
)
from projections.vps import VPS, names_before


class ComputedStatement(msgspec.Struct, frozen=True):
    """A statement as the events have it now."""

    statement: Statement
    until: int
    """Up to which position it was looked."""
    issued: Issued | None
    """As it was issued; None where it has no number yet."""


class StatementSource:
    """What statements are drawn from. All raise ProjectionBehind."""

    def __init__(self, read_models: ReadModels, store: EventStore, sealer: Sealer) -> None:
        self._read_models = read_models
        self._store = store
        self._sealer = sealer

    async def compute(self, account_id: AccountId, month: Month) -> ComputedStatement | None:
        """Return the statement of a month, reasons unsealed; None where there was no wallet by its end."""
        until = await self._store.head()
        async with self._read_models.at(until, STATEMENTS, ENTRIES) as connection, connection.transaction():
            # All of it as of one moment, while the read models move on.
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            opened_at = await wallet_opened_at(connection, account_id)
            if opened_at is None or opened_at >= month.ends:
                return None
            statement = await _statement(connection, account_id, month)
            issued = await issued_statements(connection, account_id)
        await self._sealer.load([account_id])
        entries = tuple(self._opened(account_id, entry) for entry in statement.entries)
        return ComputedStatement(
            msgspec.structs.replace(statement, entries=entries),
            until,
            next((one for one in issued if one.statement.month == str(month)), None),
        )

    async def issued(self, account_id: AccountId) -> list[Issued]:
        """Return the statements that have a number, the newest month first."""
        async with self._read_models.at(await self._store.head(), STATEMENTS) as connection:
            return await issued_statements(connection, account_id)

    async def due(
        self, before: Month, after: tuple[AccountId, Month] | None, limit: int
    ) -> list[tuple[AccountId, Month]]:
        """Return accounts and earlier months in which something moved, and whose statement has no number yet.

        By months, then accounts, past ``after``.
        """
        async with self._read_models.at(await self._store.head(), STATEMENTS) as connection:
            due = await statements_due(connection, before, after, limit)
        return [(account_id, parse_month(month)) for account_id, month in due]

    async def names(self, account_id: AccountId, vps_ids: Collection[VpsId], month: Month) -> dict[VpsId, str]:
        """Return the names that VPSs of an account had last in a month, those among them that are gone as well.

        What a VPS is called later changes no statement of the time before.
        """
        async with self._read_models.at(await self._store.head(), VPS) as connection:
            names = await names_before(connection, vps_ids, month.ends)
        await self._sealer.load([account_id])
        return {vps_id: self._sealer.unseal(account_id, event_id, "name", name) for vps_id, event_id, name in names}

    def _opened(self, account_id: AccountId, entry: Entry) -> Entry:
        if entry.reason is None:
            return entry
        reason = self._sealer.unseal(account_id, entry.event_id, "reason", entry.reason)
        return msgspec.structs.replace(entry, reason=reason)


async def _statement(connection: Connection, account_id: AccountId, month: Month) -> Statement:
    minutes = await minutes_of_month(connection, account_id, month)
    statement = Statement(
        account_id=account_id,
        month=month,
        opening=await balance_at(connection, account_id, Instant(month.begins - 1)),
        opening_owed=await owed_before(connection, account_id, month.begins),
        entries=await single_entries(connection, account_id, month),
        charged=tuple(line for line in minutes if line.cause is None),
        waived=tuple(line for line in minutes if line.cause is not None),
    )
    closing = await balance_at(connection, account_id, Instant(month.ends - 1))
    if statement.closing != closing:
        raise InvariantBroken(f"{month} of {account_id} comes to {statement.closing}, not {closing}")
    return statement
