"""Where the wrapped keys of accounts are kept: in PostgreSQL, or in memory for tests."""

from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from adapters.sealing.key_watch import CHANNEL
from domain.ids import AccountId

Wrapped = bytes | None
"""A key as it is kept; None: erased."""


class KeyTable(Protocol):
    """Wrapped keys by account. Any number of processes may use it at once. All raise StoreFailed."""

    async def read(self, account_ids: Collection[AccountId]) -> dict[AccountId, Wrapped]:
        """Return what is kept for those of the accounts that ever had a key."""
        ...

    async def add(self, keys: Mapping[AccountId, bytes], *, only_if_wraps: bytes | None = None) -> bool:
        """Keep new keys; an account that has one, or had one, is left as it is.

        ``only_if_wraps``: nothing is kept, and False returned, unless the master key of this id is the one that wraps.
        """
        ...

    async def page(self, after: AccountId | None, limit: int) -> dict[AccountId, bytes]:
        """Return keys that are not erased, in the order of ids, past ``after``."""
        ...

    async def replace(self, keys: Mapping[AccountId, tuple[bytes, bytes]]) -> None:
        """Keep the second in place of the first, of those that are still kept so: none that was erased comes back."""
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

    async def add(self, keys: Mapping[AccountId, bytes], *, only_if_wraps: bytes | None = None) -> bool:  # noqa: ARG002
        """Keep new keys; an account that has one, or had one, is left as it is."""
        for account_id, wrapped in keys.items():
            self._keys.setdefault(account_id, wrapped)
        return True

    async def page(self, after: AccountId | None, limit: int) -> dict[AccountId, bytes]:
        """Return keys that are not erased; see ``KeyTable.page``."""
        kept = sorted((one, key) for one, key in self._keys.items() if key is not None and (not after or one > after))
        return dict(kept[:limit])

    async def replace(self, keys: Mapping[AccountId, tuple[bytes, bytes]]) -> None:
        """Keep others in place of those that are still kept; see ``KeyTable.replace``."""
        for account_id, (old, new) in keys.items():
            if self._keys[account_id] == old:
                self._keys[account_id] = new

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

    async def add(self, keys: Mapping[AccountId, bytes], *, only_if_wraps: bytes | None = None) -> bool:
        """Keep new keys; an account that has one, or had one, is left as it is; see ``KeyTable.add``."""
        async with self._lent() as connection, connection.transaction():
            if only_if_wraps is not None:
                # Held until these are kept, so that none comes after the last that a rotation looks for.
                found = await connection.execute(
                    "SELECT FROM sealing.master_key WHERE wraps AND id = %s FOR SHARE", [only_if_wraps]
                )
                if await found.fetchone() is None:
                    return False
            await connection.execute(
                """
                INSERT INTO sealing.account_key (account_id, wrapped)
                SELECT account_id, wrapped FROM unnest(%s::uuid[], %s::bytea[]) AS new (account_id, wrapped)
                ON CONFLICT (account_id) DO NOTHING
                """,
                [list(keys), list(keys.values())],
            )
        return True

    async def page(self, after: AccountId | None, limit: int) -> dict[AccountId, bytes]:
        """Return keys that are not erased; see ``KeyTable.page``."""
        async with self._lent() as connection:
            rows = await connection.execute(
                """
                SELECT account_id, wrapped FROM sealing.account_key
                WHERE wrapped IS NOT NULL AND (%(after)s::uuid IS NULL OR account_id > %(after)s)
                ORDER BY account_id LIMIT %(limit)s
                """,
                {"after": after, "limit": limit},
            )
            return {account_id: wrapped async for account_id, wrapped in rows}

    async def replace(self, keys: Mapping[AccountId, tuple[bytes, bytes]]) -> None:
        """Keep others in place of those that are still kept; see ``KeyTable.replace``."""
        columns = [list(column) for column in zip(*((one, *pair) for one, pair in keys.items()), strict=True)]
        async with self._lent() as connection:
            await connection.execute(
                """
                UPDATE sealing.account_key AS k SET wrapped = new.wrapped
                FROM unnest(%s::uuid[], %s::bytea[], %s::bytea[]) AS new (account_id, old, wrapped)
                WHERE k.account_id = new.account_id AND k.wrapped = new.old
                """,
                columns,
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

    def _lent(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        return pooled_connection(self._pool)
