"""Lost connections: an append is told truthfully and never recorded twice, whatever is cut and when."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import psycopg
import pytest

from adapters.postgres import group_writer, read_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.prepared import PreparedQuery
from domain.ids import VpsId
from domain.ports import (
    Append,
    Appended,
    Claim,
    ClaimTaken,
    MinuteClaim,
    OutcomeUnknown,
    StoreUnable,
    StoreUnavailable,
    VersionConflict,
)
from domain.time import Instant
from tests.adapters.postgres.cutting_wire import Cut, CuttingWire
from tests.contracts.event_stores import event, events, feed, new_stream

pytestmark = pytest.mark.anyio


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[CuttingWire]:
    """Give a wire to a fresh database."""
    async with CuttingWire(database_url).open() as wire:
        yield wire


@pytest.fixture
async def store(wire: CuttingWire) -> AsyncIterator[PostgresEventStore]:
    """Give a store at the near end of the wire, with a statement or two behind it."""
    async with PostgresEventStore(wire.url) as store:
        await store.append(Append((event(new_stream(), 1),)))
        yield store


@pytest.mark.parametrize("cut", ["statement", "answer"])
async def test_an_append_that_was_cut_is_recorded_once(store: PostgresEventStore, wire: CuttingWire, cut: Cut) -> None:
    stream, vps = new_stream(), VpsId(uuid4())
    wire.arm(cut, b"the marker")
    minutes = (MinuteClaim(vps, 1, 1),)
    claims = (Claim("email", b"key", uuid4(), b"kept", Instant(2**60)),)
    append = Append((event(stream, 1), event(stream, 2, '"the marker"')), claims, (), minutes)
    appended = await store.append(append)
    assert wire.cuts == 1
    got = await store.read_streams([(stream, 0)])
    assert [one.position for one in got] == [2, 3]
    assert appended == Appended(2, 3, got[0].recorded_at)
    assert await store.find_claim("email", b"key") == claims[0]


@pytest.mark.parametrize("cut", ["statement", "answer"])
async def test_of_a_batch_that_was_cut_each_is_told_its_own(
    store: PostgresEventStore, wire: CuttingWire, cut: Cut
) -> None:
    busy, streams = new_stream(), [new_stream() for _ in range(10)]
    await store.append(Append((event(busy, 1),), (Claim("email", b"key", uuid4()),)))
    blocking = asyncio.create_task(store.append(Append((event(new_stream(), 1),))))
    await asyncio.sleep(0)  # What follows gathers behind it.
    wire.arm(cut, b"the marker")
    appends = [Append(events(stream, 1, 2)) for stream in streams]
    appends[3] = Append((event(streams[3], 1, '"the marker"'), event(busy, 1)))
    appends[5] = Append(events(streams[5], 1, 2), (Claim("email", b"key", uuid4()),))
    results = await asyncio.gather(*map(store.append, appends), blocking, return_exceptions=True)
    assert wire.cuts == 1
    expected: list[type] = [Appended] * 11
    expected[3], expected[5] = VersionConflict, ClaimTaken
    assert [type(result) for result in results] == expected
    got = await feed(store)
    assert [one.position for one in got] == list(range(1, 20))
    for stream, result in zip(streams, results, strict=False):
        mine = [one.position for one in got if one.stream == stream]
        assert mine == ([result.first_position, result.last_position] if isinstance(result, Appended) else [])


@pytest.mark.parametrize("cut", ["statement", "answer"])
async def test_a_claim_without_events_that_was_cut_is_had(
    store: PostgresEventStore, wire: CuttingWire, cut: Cut
) -> None:
    wire.arm(cut, b"the marker")
    wanted = Claim("idempotency", b"key", uuid4(), b"the marker", Instant(2**60))
    await store.append(Append((), (wanted,)))
    assert wire.cuts == 1
    assert await store.find_claim("idempotency", b"key") == wanted
    with pytest.raises(ClaimTaken):
        await store.append(Append((), (Claim("idempotency", b"key", uuid4(), b"other"),)))


async def test_anothers_event_is_not_taken_for_ones_own(
    store: PostgresEventStore, wire: CuttingWire, database_url: str
) -> None:
    stream = new_stream()
    async with PostgresEventStore(database_url) as other:
        await other.append(Append((event(stream, 1, '"the marker"'),)))
    wire.arm("answer", b"the marker")
    with pytest.raises(VersionConflict):
        await store.append(Append((event(stream, 1, '"the marker"'),)))
    assert wire.cuts == 1


async def test_a_read_that_was_cut_is_read_again(store: PostgresEventStore, wire: CuttingWire) -> None:
    stream = new_stream()
    await store.append(Append((event(stream, 1),)))
    await store.read_streams([(stream, 0)])
    wire.arm("answer", stream.bytes)
    assert len(await store.read_streams([(stream, 0)])) == 1
    assert wire.cuts == 1


async def test_connections_ended_under_load_lose_and_double_nothing(database_url: str, superuser_url: str) -> None:
    acknowledged: dict[UUID, int] = {}

    async def write(store: PostgresEventStore) -> None:
        for _ in range(60):
            stream = new_stream()
            appended = await store.append(Append(events(stream, 1, 2)))
            acknowledged[stream] = appended.first_position

    async def disturb() -> None:
        async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
            while True:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'litevps_service'"
                )
                await asyncio.sleep(0.1)

    async with PostgresEventStore(database_url) as store:
        disturbing = asyncio.create_task(disturb())
        await asyncio.gather(*(write(store) for _ in range(8)))
        disturbing.cancel()
        got = await feed(store)
    assert [one.position for one in got] == list(range(1, 8 * 60 * 2 + 1))
    assert {one.stream: one.position for one in got if one.version == 1} == acknowledged


async def test_a_database_that_stays_away_is_told_in_time(wire: CuttingWire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writer, "OUTAGE_MAX_S", 0.2)
    monkeypatch.setattr(read_pool, "OUTAGE_MAX_S", 0.2)
    async with PostgresEventStore(wire.url) as store:
        await store.append(Append((event(new_stream(), 1),)))
        wire.arm("answer", b"the marker")
        wire.refuse = True
        with pytest.raises(OutcomeUnknown):
            await store.append(Append((event(new_stream(), 1, '"the marker"'),)))
        with pytest.raises(StoreUnavailable) as refusal:
            await store.append(Append((event(new_stream(), 1),)))
        assert not isinstance(refusal.value, OutcomeUnknown)
        with pytest.raises(StoreUnavailable):
            await store.read_streams([(new_stream(), 0)])
        wire.refuse = False
        assert len(await feed(store)) == 2
        await store.append(Append((event(new_stream(), 1),)))


async def test_a_statement_that_is_cancelled_is_told_as_what_the_store_cannot_do_now(database_url: str) -> None:
    pool = read_pool.ReadPool(database_url)
    asleep = asyncio.create_task(pool.run(PreparedQuery("sleep", "SELECT pg_sleep(30)"), []))
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        async with asyncio.timeout(10):
            while not asleep.done():
                await connection.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
                )
                await asyncio.sleep(0.05)
    with pytest.raises(StoreUnable):
        await asleep
    assert (await pool.run(PreparedQuery("one", "SELECT 1"), [])).ntuples == 1
    await pool.close()


async def test_a_closed_store_takes_nothing(database_url: str) -> None:
    async with PostgresEventStore(database_url) as store:
        last = asyncio.create_task(store.append(Append((event(new_stream(), 1),))))
        await asyncio.sleep(0)
    assert (await last).last_position == 1, "what was waiting is recorded"
    with pytest.raises(StoreUnavailable):
        await store.append(Append((event(new_stream(), 1),)))
    with pytest.raises(StoreUnavailable):
        await store.read_streams([(new_stream(), 0)])
