"""A killed server: PostgreSQL gets ``kill -9`` under load, and nothing acknowledged is lost or doubled."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.embedded_postgres.server import OWNER, SERVICE_ROLE, EmbeddedPostgres
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from domain.leaf_hash import leaf_hash_of
from domain.ports import Append, Claim
from tests.contracts.event_stores import event, new_stream
from tests.folders import make_folder

pytestmark = pytest.mark.anyio

WRITERS = 16
KILLS = 3
RECORDED_BETWEEN = 500


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Start a server that may be killed, with a migrated database."""
    folder = make_folder("litevps-killed-")
    server = EmbeddedPostgres(folder / "postgres")
    try:
        migrate(server.start(), server.service_password)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


async def test_a_killed_server_loses_nothing_acknowledged_and_leaves_no_gap(server: EmbeddedPostgres) -> None:
    acknowledged: dict[tuple[UUID, int], int] = {}
    is_over = asyncio.Event()

    async def write(store: PostgresEventStore) -> None:
        stream, version = new_stream(), 0
        while not is_over.is_set():
            version += 1
            claim = Claim("writer", stream.bytes + version.to_bytes(4), uuid4())
            appended = await store.append(Append((event(stream, version),), (claim,)))
            acknowledged[stream, version] = appended.first_position

    async def write_on() -> None:
        enough = len(acknowledged) + RECORDED_BETWEEN
        async with asyncio.timeout(30):
            while len(acknowledged) < enough:  # noqa: ASYNC110 — written by many, seldom waited for.
                await asyncio.sleep(0.01)

    async with PostgresEventStore(server.url(SERVICE_ROLE)) as store:
        writers = [asyncio.create_task(write(store)) for _ in range(WRITERS)]
        for _ in range(KILLS):
            await write_on()
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await asyncio.to_thread(server.start)
        await write_on()
        is_over.set()
        # A writer would fail on a version of its own that was recorded without its being told.
        await asyncio.gather(*writers)
        got = [one async for events in store.replay() for one in events]

    assert [one.position for one in got] == list(range(1, len(got) + 1))
    assert {(one.stream, one.version): one.position for one in got} == acknowledged
    assert all(one.leaf_hash == leaf_hash_of(one) for one in got)
    assert [one.recorded_at for one in got] == sorted(one.recorded_at for one in got)
    with psycopg.connect(server.url(OWNER)) as connection:
        heads: dict[UUID, int] = dict(connection.execute("SELECT stream, version FROM ledger.stream_head").fetchall())
        claims = connection.execute("SELECT count(*) FROM ledger.claim").fetchone()
    assert heads == {stream: max(v for s, v in acknowledged if s == stream) for stream, _ in acknowledged}
    assert claims == (len(got),)
