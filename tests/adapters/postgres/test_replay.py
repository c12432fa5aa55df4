"""A replay gives everything, a little at a time."""

import pytest

from adapters.postgres import replay as replaying
from adapters.postgres.event_store import PostgresEventStore
from domain.ports import READ_BYTES_MAX, Append
from tests.contracts.event_stores import event, new_stream

LARGE = '"' + "x" * 1_000_000 + '"'
SMALL = '"' + "x" * 1_000 + '"'

pytestmark = pytest.mark.anyio


async def test_large_events_are_replayed_without_many_of_them_being_held_at_once(database_url: str) -> None:
    async with PostgresEventStore(database_url) as store:
        for payload in (LARGE, SMALL):
            for _ in range(20):
                stream = new_stream()
                await store.append(Append(tuple(event(stream, version, payload) for version in range(1, 6))))

        sizes = []
        positions: list[int] = []
        async for batch in store.replay():
            sizes.append(sum(len(one.payload) for one in batch))
            positions += [one.position for one in batch]

    assert positions == list(range(1, 201))
    assert max(sizes) < READ_BYTES_MAX // 2, "of 100 MB; what has arrived is no more than a connection's buffer"


async def test_a_replay_gives_what_there_was_when_it_began_past_a_position(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "PAGE_EVENTS", 3)
    async with PostgresEventStore(database_url) as store:
        for _ in range(10):
            await store.append(Append((event(new_stream(), 1),)))

        positions = []
        async for batch in store.replay(after=2):
            positions += [one.position for one in batch]
            await store.append(Append((event(new_stream(), 1),)))

        assert positions == list(range(3, 11))
        assert [batch async for batch in store.replay(after=13)] == []


async def test_a_replay_gives_each_event_as_streams_are_read(database_url: str) -> None:
    async with PostgresEventStore(database_url) as store:
        stream = new_stream()
        await store.append(Append((event(stream, 1, SMALL), event(stream, 2, '"é"'))))

        assert [one async for batch in store.replay() for one in batch] == await store.read_streams([(stream, 0)])
