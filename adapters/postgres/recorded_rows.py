"""Rows of events in binary, and the statements that read them."""

from uuid import UUID

from psycopg.pq.abc import PGresult

from adapters.postgres.binary import read_int
from adapters.postgres.prepared import Statement
from domain.ids import StreamId
from domain.ports import Recorded
from domain.time import Instant

COLUMNS = "e.position, e.stream, e.version, e.type, e.payload, e.metadata, e.happened_at, e.recorded_at, e.leaf_hash"

READ_STREAMS = Statement(
    "read_streams",
    f"SELECT {COLUMNS} FROM unnest($1::uuid[], $2::integer[]) AS w (stream, after)"  # noqa: S608
    " JOIN ledger.event AS e ON e.stream = w.stream AND e.version > w.after ORDER BY e.position",
)
READ_FEED = Statement(
    "read_feed",
    f"SELECT {COLUMNS} FROM ledger.event AS e WHERE e.position > $1 ORDER BY e.position LIMIT $2",  # noqa: S608
)


def recorded_rows(result: PGresult) -> list[Recorded]:
    """Return the events of a result of one of these statements."""
    return [_recorded(result, row) for row in range(result.ntuples)]


def _recorded(result: PGresult, row: int) -> Recorded:
    value = result.get_value
    return Recorded(
        read_int(value(row, 0)),
        StreamId(UUID(bytes=value(row, 1))),
        read_int(value(row, 2)),
        _text(value(row, 3)),
        _text(value(row, 4)),
        _text(value(row, 5)),
        Instant(read_int(value(row, 6))),
        Instant(read_int(value(row, 7))),
        value(row, 8) or b"",
    )


def _text(content: bytes | None) -> str:
    assert content is not None
    return content.decode()
