"""When tokens were last used, in a table that all processes share."""

from collections.abc import Collection, Mapping
from typing import Any

from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from domain.ids import TokenId
from domain.time import Instant

_NOTE = """
    INSERT INTO tokens.last_use AS known (token_id, used_at) VALUES (%s, %s)
    ON CONFLICT (token_id) DO UPDATE SET used_at = excluded.used_at WHERE known.used_at < excluded.used_at
"""
_READ = "SELECT token_id, used_at FROM tokens.last_use WHERE token_id = ANY(%s)"


class PostgresLastUses:
    """Implements ``domain.tokens.ports.LastUses``."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool

    async def note(self, token_id: TokenId, at: Instant) -> None:
        """Keep that a token was used; see ``LastUses.note``. Raises StoreUnavailable."""
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_NOTE, [token_id, at])

    async def of(self, token_ids: Collection[TokenId]) -> Mapping[TokenId, Instant]:
        """Return when these tokens were last used; see ``LastUses.of``. Raises StoreUnavailable."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_READ, [list(token_ids)])
            return {TokenId(token_id): Instant(used_at) for token_id, used_at in await cursor.fetchall()}
