"""Replay: every event there is in order of position, by COPY in binary, for audits and rebuilding."""

import struct
from collections.abc import AsyncIterator, Iterator

import psycopg
from psycopg.pq.abc import PGconn

from adapters.postgres.recorded_rows import stream_id
from domain.ports import Recorded
from domain.time import Instant

BATCH_EVENTS = 2_000

_COPY = (
    "COPY (SELECT position, version, stream, happened_at, recorded_at, leaf_hash, type, metadata, payload"
    " FROM ledger.event WHERE position > %s ORDER BY position) TO STDOUT (FORMAT binary)"
)
_FIXED = struct.Struct(">hiqiii16siqiqi32si")
"""Count of fields; then the length and the bytes of each up to the leaf hash; then the length of the type."""
_LENGTH = struct.Struct(">i")
_HEADER_BYTES = 19
_TRAILER = b"\xff\xff"


async def replay(url: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
    """Yield all events past a position, in lists, as of the moment it began.

    Takes no connection of the store's. Raises psycopg.Error when the database is lost.
    """
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SET enable_seqscan = off; SET jit = off")
        async with connection.cursor() as cursor, cursor.copy(_COPY, [after]) as copy:
            start = _HEADER_BYTES
            while first := bytes(await copy.read()):
                # The driver waits for one row; those that came with it are taken straight from libpq, which
                # is several times faster than a turn of the event loop for each.
                rows = [first[start:]]
                if rows[0] != _TRAILER:
                    rows += _arrived(connection.pgconn)
                start = 0
                if events := [_recorded(row) for row in rows if row and row != _TRAILER]:
                    yield events


def _arrived(pgconn: PGconn) -> Iterator[bytes]:
    """Yield rows that are here already, not more than ``BATCH_EVENTS``.

    PostgreSQL sends each row in a message of its own, and the trailer last; what follows is for the driver. Nothing is
    waited for, so it is no more than libpq's buffer holds: a few dozen KiB, or twice the largest row so far.
    """
    for _ in range(BATCH_EVENTS - 1):
        length, row = pgconn.get_copy_data(1)
        if length <= 0:
            return
        yield (content := bytes(row))
        if content == _TRAILER:
            return


def _recorded(row: bytes) -> Recorded:
    (_, _, position, _, version, _, stream, _, happened_at, _, recorded_at, _, leaf_hash, length) = _FIXED.unpack_from(
        row
    )
    at = _FIXED.size
    type_name = row[at : at + length].decode()
    at += length
    (length,) = _LENGTH.unpack_from(row, at)
    metadata = row[at + 4 : at + 4 + length].decode()
    payload = row[at + 8 + length :].decode()
    return Recorded(
        position,
        stream_id(stream),
        version,
        type_name,
        payload,
        metadata,
        Instant(happened_at),
        Instant(recorded_at),
        leaf_hash,
    )
