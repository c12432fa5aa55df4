"""The event stores that are held to one contract, with what their tests record in them."""

import time
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import psycopg
import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from domain.ids import StreamId
from domain.ports import Claim, NewEvent, Recorded
from domain.time import HOUR, Instant

Store = MemoryEventStore | PostgresEventStore
StepBack = Callable[[], None]
"""Makes the store's clock show an hour less than before."""

HAPPENED_AT = Instant(1_700_000_000_000_001)


class SteppingClock:
    """The machine's clock, set back at will."""

    def __init__(self) -> None:
        self.behind = 0

    def now(self) -> Instant:
        """Return the machine's time less what it was set back."""
        return Instant(time.time_ns() // 1000 - self.behind)


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, StepBack]]:
    """Give an empty store, and the means to set its clock back."""
    if request.param == "memory":
        clock = SteppingClock()

        def step_back() -> None:
            clock.behind += HOUR

        yield MemoryEventStore(clock), step_back
        return
    owner_url = request.getfixturevalue("owner_url")

    def pretend_the_last_append_was_an_hour_ahead() -> None:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute("UPDATE ledger.head SET recorded_at = recorded_at + %s", [HOUR])

    async with PostgresEventStore(request.getfixturevalue("database_url")) as store:
        yield store, pretend_the_last_append_was_an_hour_ahead


@pytest.fixture
def store(stores: tuple[Store, StepBack]) -> Store:
    """Give an empty store."""
    return stores[0]


def new_stream() -> StreamId:
    return StreamId(uuid4())


def event(stream: StreamId, version: int, payload: str = "{}") -> NewEvent:
    return NewEvent(stream, version, "test.happened.v1", payload, f'{{"id":"{uuid4()}"}}', HAPPENED_AT)


def events(stream: StreamId, first: int, last: int) -> tuple[NewEvent, ...]:
    return tuple(event(stream, version) for version in range(first, last + 1))


def claim(key: bytes = b"key", expires_at: int | None = None, kept: bytes | None = None) -> Claim:
    return Claim("email", key, uuid4(), kept, None if expires_at is None else Instant(expires_at))


def now() -> int:
    return time.time_ns() // 1000


async def feed(store: Store) -> list[Recorded]:
    return await store.read_feed(0, 100_000)
