"""What is kept beside the events stays while its stream has events, in memory and in PostgreSQL alike."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.memory.blobs import SWEPT_AFTER, MemoryBlobs
from adapters.memory.event_store import MemoryEventStore
from adapters.postgres import blobs as postgres_blobs
from adapters.postgres.blobs import PostgresBlobs
from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from domain.blobs import Blobs, KeptBlob
from domain.ids import AccountId, StreamId
from domain.ports import Append, EventStore, NewEvent
from domain.time import MICROSECONDS_PER_SECOND, Instant

pytestmark = pytest.mark.anyio

ACCOUNT = AccountId(uuid4())


class Shelf:
    """Blobs, the events beside them, and a way to let time pass."""

    def __init__(self, blobs: Blobs, store: EventStore, wait: Callable[[int], Awaitable[None]]) -> None:
        self.blobs, self.store, self.wait = blobs, store, wait

    async def record(self, stream: StreamId) -> None:
        await self.store.append(Append((NewEvent(stream, 1, "test.told.v1", "{}", "{}", Instant(1)),)))


@pytest.fixture(params=["memory", "postgres"])
async def shelf(request: pytest.FixtureRequest) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield memory_shelf()
        return
    async with postgres_shelf(*map(request.getfixturevalue, ("database_url", "owner_url"))) as shelf:
        yield shelf


def memory_shelf() -> Shelf:
    clock = ManualClock()
    store = MemoryEventStore(clock)

    async def wait(microseconds: int) -> None:
        clock.advance(microseconds / MICROSECONDS_PER_SECOND)

    return Shelf(MemoryBlobs(store, clock), store, wait)


@asynccontextmanager
async def postgres_shelf(database_url: str, owner_url: str) -> AsyncIterator[Shelf]:
    async def wait(microseconds: int) -> None:
        with psycopg.connect(owner_url) as owner:
            owner.execute("UPDATE work.blob SET kept_at = kept_at - %s * interval '1 microsecond'", [microseconds])

    async with (
        AsyncConnectionPool(database_url, min_size=1, max_size=2, open=False, kwargs={"autocommit": True}) as pool,
        PostgresEventStore(database_url) as store,
    ):
        yield Shelf(PostgresBlobs(pool), store, wait)


def blob(stream: StreamId, field: str = "stdin", sealed: str = "sealed") -> KeptBlob:
    return KeptBlob(stream, field, ACCOUNT, sealed)


async def test_what_is_kept_is_found_by_stream_and_field(shelf: Shelf) -> None:
    stream, other = StreamId(uuid4()), StreamId(uuid4())
    await shelf.blobs.keep([blob(stream, "stdin", "in"), blob(stream, "env", "variables"), blob(other, "stdin", "x")])

    assert await shelf.blobs.find(stream, ("stdin", "env", "command")) == {"stdin": "in", "env": "variables"}
    assert await shelf.blobs.find(stream, ("env",)) == {"env": "variables"}
    assert await shelf.blobs.find(StreamId(uuid4()), ("stdin",)) == {}


async def test_what_is_kept_stays_as_it_is(shelf: Shelf) -> None:
    stream = StreamId(uuid4())
    await shelf.blobs.keep([blob(stream, sealed="first")])
    await shelf.blobs.keep([blob(stream, sealed="second"), blob(stream, "env", "variables")])

    assert await shelf.blobs.find(stream, ("stdin", "env")) == {"stdin": "first", "env": "variables"}


async def test_what_no_event_followed_is_swept_and_only_that(shelf: Shelf) -> None:
    told, orphan, young = (StreamId(uuid4()) for _ in range(3))
    await shelf.blobs.keep([blob(told), blob(orphan), blob(orphan, "env")])
    await shelf.record(told)
    await shelf.wait(SWEPT_AFTER // 2 + 1)
    await shelf.blobs.keep([blob(young)])
    assert await shelf.blobs.sweep() == 0
    await shelf.wait(SWEPT_AFTER // 2 + 1)

    assert await shelf.blobs.sweep() == 3
    assert await shelf.blobs.find(orphan, ("stdin", "env")) == {}
    assert await shelf.blobs.find(told, ("stdin",)) == await shelf.blobs.find(young, ("stdin",)) == {"stdin": "sealed"}
    assert await shelf.blobs.sweep() == 0, "what was looked at once is not looked at again"


async def test_a_sweep_takes_so_many_at_once_and_goes_on(
    database_url: str, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_blobs, "SWEPT_AT_ONCE", 2)
    async with postgres_shelf(database_url, owner_url) as shelf:
        told = [StreamId(uuid4()) for _ in range(3)]
        for stream in told:
            await shelf.blobs.keep([blob(stream)])
            await shelf.record(stream)
        await shelf.blobs.keep([blob(orphan := StreamId(uuid4()))])
        await shelf.wait(SWEPT_AFTER + 1)

        assert [await shelf.blobs.sweep() for _ in range(3)] == [2, 2, 0]
        assert await shelf.blobs.find(orphan, ("stdin",)) == {}


async def test_what_was_kept_when_the_key_of_its_account_was_gone_is_swept_though_an_event_tells_of_it(
    database_url: str, owner_url: str
) -> None:
    async with postgres_shelf(database_url, owner_url) as shelf:
        with psycopg.connect(owner_url) as owner:
            owner.execute(
                "INSERT INTO sealing.account_key (account_id, wrapped, erased_at)"
                " VALUES (%s, NULL, now()), (%s, 'k', NULL)",
                [ACCOUNT, other := AccountId(uuid4())],
            )
        late, of_other = StreamId(uuid4()), StreamId(uuid4())
        await shelf.blobs.keep([blob(late), KeptBlob(of_other, "stdin", other, "sealed")])
        for stream in (late, of_other):
            await shelf.record(stream)
        await shelf.wait(SWEPT_AFTER + 1)

        assert await shelf.blobs.sweep() == 2
        assert await shelf.blobs.find(late, ("stdin",)) == {}
        assert await shelf.blobs.find(of_other, ("stdin",)) == {"stdin": "sealed"}
