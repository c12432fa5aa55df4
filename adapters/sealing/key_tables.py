"""Where the wrapped keys of accounts are kept: in PostgreSQL, or in memory for tests."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.sealing.key_watch import CHANNEL
from domain.ids import AccountId
from domain.store_failures import store_failure

Wrapped = bytes | None
"""A key as it is kept; None: erased."""


class KeyTable(Protocol):
    """Wrapped keys by account. Any number of processes may use it at once. All raise StoreFailed."""

    async def read(self, account_ids: Collection[AccountId]) -> dict[AccountId, Wrapped]:
        """Return what is kept for those of the accounts that ever had a key."""
        ...

    async def add(self, keys: Mapping[AccountId, bytes]) -> None:
        """Keep new keys; an account that has one, or had one, is left as it is."""
        ...

    async def erase(self, account_id: AccountId) -> None:
        """Forget the key for good, and that there may ever be another."""
        ...


class MemoryKeyTable:
    """Keys that live as long as the process."""

    def __init__(self) -> None:
        self._keys: dict[AccountId, Wrapped] = {}

    async def read(self, account_ids: Collection[AccountId]) -> dict[AccountId, Wrapped]:
        """Return what is kept for those of the accounts that ever had a key."""
        return {account_id: self._keys[account_id] for account_id in account_ids if account_id in self._keys}

    async def add(self, keys: Mapping[AccountId, bytes]) -> None:
        """Keep new keys; an account that has one, or had one, is left as it is."""
        for account_id, wrapped in keys.items():
            self._keys.setdefault(account_id, wrapped)

    async def erase(self, account_id: AccountId) -> None:
        """Forget the key for good, and that there may ever be another."""
        self._keys[account_id] = None


class PostgresKeyTable:
    """Keys in the table ``sealing.account_key``, written under the service's role."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def read(self, account_ids: Collection[AccountId]) -> dict[AccountId, Wrapped]:
        """Return what is kept for those of the accounts that ever had a key."""
        async with self._lent() as connection:
            rows = await connection.execute(
                "SELECT account_id, wrapped FROM sealing.account_key WHERE account_id = ANY(%s)", [list(account_ids)]
            )
            return {account_id: wrapped async for account_id, wrapped in rows}

    async def add(self, keys: Mapping[AccountId, bytes]) -> None:
        """Keep new keys; an account that has one, or had one, is left as it is."""
        async with self._lent() as connection:
            await connection.execute(
                """
                INSERT INTO sealing.account_key (account_id, wrapped)
                SELECT account_id, wrapped FROM unnest(%s::uuid[], %s::bytea[]) AS new (account_id, wrapped)
                ON CONFLICT (account_id) DO NOTHING
                """,
                [list(keys), list(keys.values())],
            )

    async def erase(self, account_id: AccountId) -> None:
        """Forget the key for good, and that there may ever be another."""
        async with self._lent() as connection, connection.transaction():
            await connection.execute(
                """
                INSERT INTO sealing.account_key (account_id, wrapped, erased_at) VALUES (%s, NULL, clock_timestamp())
                ON CONFLICT (account_id) DO UPDATE SET wrapped = NULL, erased_at = clock_timestamp()
                WHERE sealing.account_key.wrapped IS NOT NULL
                """,
                [account_id],
            )
            await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(account_id)])

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        lost: psycopg.AsyncConnection[Any] | None = None
        try:
            async with self._pool.connection() as connection:
                lost = connection
                yield connection
        except psycopg.Error as error:
            is_connected = lost is not None and not lost.closed
            failure = store_failure(error.sqlstate, str(error), is_connected=is_connected)
            if failure is None:
                raise
            raise failure from error
