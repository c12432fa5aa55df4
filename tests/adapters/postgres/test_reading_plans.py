"""How streams are read does not depend on how long they are."""

import msgspec
import psycopg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.prepared import connect
from adapters.postgres.recorded_rows import READ_STREAM, READ_STREAMS
from domain.ports import Append
from tests.contracts.event_stores import events, new_stream

LONG = '{"lines":"' + 1_000 * "-" + '"}'
pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("statement", "types"),
    [(READ_STREAMS.sql, "uuid[], integer[], bigint"), (READ_STREAM.sql, "uuid, integer, integer, bigint")],
    ids=["many", "one"],
)
async def test_streams_are_looked_up_also_where_one_of_them_is_nearly_all_there_is(
    database_url: str, owner_url: str, statement: str, types: str
) -> None:
    async with PostgresEventStore(database_url) as store:
        long = [msgspec.structs.replace(one, payload=LONG) for one in events(new_stream(), 1, 20_000)]
        for first in range(0, len(long), 5_000):
            await store.append(Append(tuple(long[first : first + 5_000])))
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("ANALYZE ledger.event")
    connection = await connect(database_url)
    try:
        await connection.execute(f"PREPARE reading ({types}) AS {statement}".encode())
        nulls = ", ".join("NULL" for _ in types.split(","))
        cursor = await connection.execute(f"EXPLAIN EXECUTE reading ({nulls})".encode())
        plan = "\n".join(line for (line,) in await cursor.fetchall())
    finally:
        await connection.close()

    assert "event_stream_version_key" in plan
    assert "event_pkey" not in plan
