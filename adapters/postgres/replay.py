"""Replay: every event there is in order of position, by COPY in binary, for audits and rebuilding."""

import struct
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg

from domain.ids import StreamId
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
        await connection.execute("SET enable_seqscan = off")
        async with connection.cursor() as cursor, cursor.copy(_COPY, [after]) as copy:
            events: list[Recorded] = []
            start = _HEADER_BYTES
            async for row in copy:
                if row[start : start + 2] not in (b"", _TRAILER):
                    events.append(_recorded(bytes(row), start))
                start = 0
                if len(events) >= BATCH_EVENTS:
                    yield events
                    events = []
            if events:
                yield events


def _recorded(row: bytes, start: int) -> Recorded:
    """Read one row of the copy; PostgreSQL sends each in a message of its own, the first behind a header."""
    (_, _, position, _, version, _, stream, _, happened_at, _, recorded_at, _, leaf_hash, length) = _FIXED.unpack_from(
        row, start
    )
    at = start + _FIXED.size
    type_name = row[at : at + length].decode()
    at += length
    (length,) = _LENGTH.unpack_from(row, at)
    metadata = row[at + 4 : at + 4 + length].decode()
    payload = row[at + 8 + length :].decode()
    return Recorded(
        position,
        StreamId(UUID(bytes=stream)),
        version,
        type_name,
        payload,
        metadata,
        Instant(happened_at),
        Instant(recorded_at),
        leaf_hash,
    )
