"""Rows of events in binary, and the queries that read them."""

from collections.abc import Sequence
from typing import Any

from psycopg.adapt import Transformer
from psycopg.pq.abc import PGresult

from adapters.postgres.prepared import PreparedQuery
from domain.ports import Recorded

COLUMNS = "e.position, e.stream, e.version, e.type, e.payload, e.metadata, e.happened_at, e.recorded_at, e.leaf_hash"


def _by_bytes(events: str, bytes_max: str) -> str:
    """Return the SQL that reads the first of some events, in order of position, as far as so many bytes go."""
    # Sizes are known without the text, which is fetched of those rows alone that are returned.
    return (
        f"SELECT {COLUMNS} FROM ("  # noqa: S608
        "SELECT n.*, sum(octet_length(n.payload) + octet_length(n.metadata)) OVER (ORDER BY n.position"
        " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before FROM"
        f" ({events}) AS n) AS e WHERE coalesce(e.bytes_before, 0) < {bytes_max} ORDER BY e.position"
    )


READ_STREAMS = PreparedQuery(
    "read_streams",
    # OFFSET 0: each stream is looked up by itself. Where few streams are very long, to go through all events
    # would seem cheaper, though hardly anything of them is past the versions that are told.
    _by_bytes(
        f"SELECT {COLUMNS} FROM unnest($1::uuid[], $2::integer[]) AS w (stream, after)"  # noqa: S608
        f" CROSS JOIN LATERAL (SELECT {COLUMNS} FROM ledger.event AS e WHERE e.stream = w.stream"
        " AND e.version > w.after ORDER BY e.version OFFSET 0) AS e",
        "$3::bigint",
    ),
)
READ_STREAM = PreparedQuery(
    "read_stream",
    _by_bytes(
        f"SELECT {COLUMNS} FROM ledger.event AS e"  # noqa: S608
        " WHERE e.stream = $1::uuid AND e.version > $2::integer AND e.version <= $3::integer",
        "$4::bigint",
    ),
)
READ_FEED = PreparedQuery(
    "read_feed",
    _by_bytes("SELECT * FROM ledger.event AS a WHERE a.position > $1 ORDER BY a.position LIMIT $2", "$3"),
)


def recorded_rows(result: PGresult) -> list[Recorded]:
    """Return the events of a result of one of these queries."""
    rows = Transformer()
    rows.set_pgresult(result)
    return rows.load_rows(0, result.ntuples, _recorded)


def _recorded(columns: Sequence[Any]) -> Recorded:
    return Recorded(*columns)
