"""Blobs, kept in a table beside the events."""

from collections.abc import Collection, Sequence

from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from domain.blobs import KeptBlob
from domain.ids import StreamId

SWEPT_AT_ONCE = 1_000

_KEEP = """
    INSERT INTO work.blob (stream, field, account_id, sealed)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[])
    ON CONFLICT (stream, field) DO NOTHING
"""
_FIND = "SELECT field, sealed FROM work.blob WHERE stream = %s AND field = ANY(%s)"
# Whoever keeps something records what tells of it right after, or never: within an hour, that is long decided. What was
# sealed just before a key was erased may be kept after its account was forgotten: nobody can ever read that.
_SWEEP = """
    WITH seen AS (
        SELECT b.stream, b.field, EXISTS (SELECT FROM ledger.stream_head AS h WHERE h.stream = b.stream)
            AND NOT EXISTS (
                SELECT FROM sealing.account_key AS k WHERE k.account_id = b.account_id AND k.erased_at IS NOT NULL
            ) AS is_recorded
        FROM work.blob AS b
        WHERE NOT b.is_recorded AND b.kept_at < clock_timestamp() - interval '1 hour'
        ORDER BY b.kept_at
        LIMIT %s
        FOR UPDATE OF b SKIP LOCKED
    ), recorded AS (
        UPDATE work.blob AS b SET is_recorded = true
        FROM seen WHERE seen.is_recorded AND b.stream = seen.stream AND b.field = seen.field
    ), swept AS (
        DELETE FROM work.blob AS b
        USING seen WHERE NOT seen.is_recorded AND b.stream = seen.stream AND b.field = seen.field
    )
    SELECT count(*) FROM seen
"""


class PostgresBlobs:
    """Implements ``domain.blobs.Blobs``."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        """``pool``: of connections in autocommit mode."""
        self._pool = pool

    async def keep(self, blobs: Sequence[KeptBlob]) -> None:
        """Have these kept; see ``Blobs.keep``."""
        rows = [(blob.stream, blob.field, blob.account_id, blob.sealed) for blob in blobs]
        async with pooled_connection(self._pool) as connection:
            await connection.execute(_KEEP, [list(column) for column in zip(*rows, strict=True)])

    async def find(self, stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        """Return what is kept of a stream; see ``Blobs.find``."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_FIND, [stream, list(fields)])
            return dict(await cursor.fetchall())

    async def sweep(self) -> int:
        """Delete what no event tells of; see ``Blobs.sweep``."""
        async with pooled_connection(self._pool) as connection:
            cursor = await connection.execute(_SWEEP, [SWEPT_AT_ONCE])
            row = await cursor.fetchone()
        return 0 if row is None else int(row[0])
