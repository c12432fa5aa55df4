"""Leases in PostgreSQL, shared by every process that works."""

from collections.abc import Collection
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection

_TAKE = """
    INSERT INTO work.lease AS held (scope, key, holder, leased_until)
    VALUES (%(scope)s, %(key)s, %(holder)s, clock_timestamp() + make_interval(secs => %(lease_s)s))
    ON CONFLICT (scope, key) DO UPDATE
    SET holder = excluded.holder, leased_until = excluded.leased_until
    WHERE held.leased_until <= clock_timestamp()
    RETURNING attempts
"""
_TAKEN = """
    SELECT key FROM work.lease
    WHERE scope = %(scope)s AND key = ANY(%(keys)s) AND leased_until > clock_timestamp()
"""
_EXTEND = """
    UPDATE work.lease SET leased_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE scope = %(scope)s AND key = %(key)s AND holder = %(holder)s
"""
_DONE = "DELETE FROM work.lease WHERE scope = %(scope)s AND key = %(key)s AND holder = %(holder)s"
_POSTPONE = """
    UPDATE work.lease
    SET holder = NULL, attempts = attempts + 1,
        leased_until = clock_timestamp() + make_interval(secs => %(pause_s)s)
    WHERE scope = %(scope)s AND key = %(key)s AND holder = %(holder)s
"""


class PostgresLeases:
    """Implements ``domain.compute.work.Leases`` for one holder: one process at work."""

    def __init__(self, pool: AsyncConnectionPool, holder: UUID) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool
        self._holder = holder

    async def take(self, scope: str, key: UUID, lease_s: float) -> int | None:
        """Have a thing to oneself for a while; see ``Leases.take``."""
        # One statement: the row's lock, held for as long as it runs, decides between two who come at once.
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_TAKE, self._named(scope, key, lease_s=lease_s))
            row = await cursor.fetchone()
        return None if row is None else int(row[0])

    async def taken(self, scope: str, keys: Collection[UUID]) -> set[UUID]:
        """Return those that are not free; see ``Leases.taken``."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_TAKEN, {"scope": scope, "keys": list(keys)})
            return {key for (key,) in await cursor.fetchall()}

    async def extend(self, scope: str, key: UUID, lease_s: float) -> bool:
        """Keep it for longer; see ``Leases.extend``."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_EXTEND, self._named(scope, key, lease_s=lease_s))
        return cursor.rowcount == 1

    async def done(self, scope: str, key: UUID) -> None:
        """Give it back with nothing left to do."""
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_DONE, self._named(scope, key))

    async def postpone(self, scope: str, key: UUID, pause_s: float) -> None:
        """Give it back undone; see ``Leases.postpone``."""
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_POSTPONE, self._named(scope, key, pause_s=pause_s))

    def _named(self, scope: str, key: UUID, **more: float) -> dict[str, object]:
        return {"scope": scope, "key": key, "holder": self._holder, **more}
