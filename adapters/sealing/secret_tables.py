"""Where secrets are kept that outlive master keys, wrapped as the keys of accounts are; and which master key wraps."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from adapters.sealing.wrapping import Wrapping
from domain.time import Instant


class MasterKeyRow(msgspec.Struct, frozen=True):
    """A master key, of which the database knows the id alone."""

    id: bytes
    wraps: bool
    """Whether it wraps whatever is new."""
    retired: bool


class Secret(msgspec.Struct, frozen=True):
    """A secret as it is kept."""

    name: str
    wrapped: bytes
    signs_from: Instant | None = None
    """Of a key that signs sessions: when it begins to."""
    ends_at: Instant | None = None
    """From when on nothing that it signed is believed."""


class SecretTable(Protocol):
    """Wrapped secrets by name. Any number of processes may use it at once. All raise StoreFailed."""

    async def current(self) -> bytes | None:
        """Return the id of the master key that wraps what is new; None before the first start."""
        ...

    async def begin_with(self, master_key_id: bytes) -> None:
        """Have a master key wrap, if none does."""
        ...

    async def read(self) -> list[Secret]:
        """Return every secret."""
        ...

    async def add(self, secret: Secret) -> None:
        """Keep a new secret; one that is there is left as it is."""
        ...


async def kept_secret(table: SecretTable, wrapping: Wrapping, name: str, first: bytes) -> bytes:
    """Return a secret; where it was never kept, it is ``first`` from here on."""
    for _ in range(2):
        for secret in await table.read():
            if secret.name == name:
                return wrapping.unwrap(name.encode(), secret.wrapped)
        await table.add(Secret(name, wrapping.wrap(name.encode(), first)))
    raise AssertionError("what was added is there")


class PostgresSecretTable:
    """Implements ``SecretTable``, and what changes master keys and secrets, in the schema ``sealing``."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def current(self) -> bytes | None:
        """Return the id of the master key that wraps what is new."""
        return next((row.id for row in await self.master_keys() if row.wraps), None)

    async def master_keys(self) -> list[MasterKeyRow]:
        """Return every master key that ever wrapped, the newest first."""
        async with self._lent() as connection:
            rows = await connection.execute(
                "SELECT id, wraps, retired_at IS NOT NULL FROM sealing.master_key ORDER BY made_at DESC"
            )
            return [MasterKeyRow(*row) async for row in rows]

    async def begin_with(self, master_key_id: bytes) -> None:
        """Have a master key wrap, if none does."""
        async with self._lent() as connection:
            await connection.execute(
                "INSERT INTO sealing.master_key (id, wraps) VALUES (%s, true) ON CONFLICT DO NOTHING", [master_key_id]
            )

    async def change_to(self, master_key_id: bytes) -> None:
        """Have another master key wrap whatever is new; waits for those who are wrapping."""
        async with self._lent() as connection, connection.transaction():
            await connection.execute("UPDATE sealing.master_key SET wraps = false WHERE wraps")
            await connection.execute("INSERT INTO sealing.master_key (id, wraps) VALUES (%s, true)", [master_key_id])

    async def retire(self, master_key_id: bytes) -> None:
        """Note that a master key is not needed any more."""
        async with self._lent() as connection:
            await connection.execute(
                "UPDATE sealing.master_key SET retired_at = clock_timestamp() WHERE id = %s AND NOT wraps",
                [master_key_id],
            )

    async def read(self) -> list[Secret]:
        """Return every secret."""
        async with self._lent() as connection:
            rows = await connection.execute("SELECT name, wrapped, signs_from, ends_at FROM sealing.secret")
            return [Secret(*row) async for row in rows]

    async def add(self, secret: Secret) -> None:
        """Keep a new secret; one that is there is left as it is."""
        async with self._lent() as connection:
            await connection.execute(
                """
                INSERT INTO sealing.secret (name, wrapped, signs_from, ends_at) VALUES (%s, %s, %s, %s)
                ON CONFLICT (name) DO NOTHING
                """,
                msgspec.structs.astuple(secret),
            )

    async def replace(self, old: Secret, wrapped: bytes) -> None:
        """Keep a secret wrapped anew, if it is still kept as it was."""
        async with self._lent() as connection:
            await connection.execute(
                "UPDATE sealing.secret SET wrapped = %s WHERE name = %s AND wrapped = %s",
                [wrapped, old.name, old.wrapped],
            )

    async def end(self, name: str, at: Instant) -> None:
        """Have a key that signs sessions end, unless it ends before that anyway."""
        async with self._lent() as connection:
            await connection.execute(
                "UPDATE sealing.secret SET ends_at = least(ends_at, %s) WHERE name = %s", [at, name]
            )

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Keep others from rotating; gives whether nobody is at it."""
        async with self._lent() as connection:
            row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])).fetchone()
            assert row is not None
            try:
                yield row[0]
            finally:
                await connection.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])

    def _lent(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        return pooled_connection(self._pool)


_LOCK = 0x6C76_6B65_7973
"""Of whoever rotates keys."""
