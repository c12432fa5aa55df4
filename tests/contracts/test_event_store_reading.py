"""What readers of every event store are promised: all of it, in order, at once."""

import asyncio
import random
import time

import pytest

from domain.ports import FEED_BYTES_MAX, Append, VersionConflict
from tests.contracts.event_stores import Store, event, events, feed, new_stream, store, stores

__all__ = ["store", "stores"]

pytestmark = pytest.mark.anyio


async def test_streams_are_read_past_a_version_in_order_of_position(store: Store) -> None:
    one, other = new_stream(), new_stream()
    for version in range(1, 5):
        await store.append(Append((event(one, version), event(other, version))))
    got = await store.read_streams([(other, 2), (new_stream(), 0), (one, 3)])
    assert [(e.stream, e.version) for e in got] == [(other, 3), (one, 4), (other, 4)]
    assert await store.read_streams([(one, 4)]) == []
    assert len(await store.read_streams([(one, 3), (one, 1)])) == 3


async def test_readers_at_once_each_get_what_they_asked_for(store: Store) -> None:
    streams = [new_stream() for _ in range(10)]
    for stream in streams:
        await store.append(Append(events(stream, 1, 5)))
    wanted = [
        [(random.choice(streams), random.randrange(6)), (random.choice(streams), random.randrange(6))]
        for _ in range(60)
    ]
    results = await asyncio.gather(*(store.read_streams(wishes) for wishes in wanted))
    for wishes, got in zip(wanted, results, strict=True):
        least = {stream: min(after for other, after in wishes if other == stream) for stream, _ in wishes}
        assert sorted((e.stream, e.version) for e in got) == sorted(
            (stream, version) for stream, after in least.items() for version in range(after + 1, 6)
        )
        assert [e.position for e in got] == sorted(e.position for e in got)


async def test_a_reader_sees_what_was_recorded_before_it_asked(store: Store) -> None:
    stream = new_stream()

    async def write() -> None:
        for version in range(1, 40):
            await store.append(Append((event(stream, version),)))
            assert len(await store.read_streams([(stream, 0)])) == version
            assert await store.head() >= version

    async def read() -> None:
        for _ in range(60):
            await store.read_streams([(stream, 5), (new_stream(), 0)])

    await asyncio.gather(write(), read(), read())


async def test_a_part_of_a_stream_is_read_by_its_versions(store: Store) -> None:
    stream, other = new_stream(), new_stream()
    for version in range(1, 6):
        await store.append(Append((event(other, version), event(stream, version))))
    assert [(e.stream, e.version) for e in await store.read_stream(stream, 1, 3)] == [(stream, 2), (stream, 3)]
    assert [e.version for e in await store.read_stream(stream, 4, 9)] == [5]
    assert await store.read_stream(stream, 5, 9) == []
    assert await store.read_stream(new_stream(), 0, 9) == []


async def test_the_feed_goes_on_from_a_position_in_portions(store: Store) -> None:
    for _ in range(7):
        await store.append(Append(events(new_stream(), 1, 3)))
    seen: list[int] = []
    while portion := await store.read_feed(seen[-1] if seen else 0, 4):
        assert len(portion) <= 4
        seen += [got.position for got in portion]
    assert seen == list(range(1, 22))


async def test_a_follower_of_the_feed_misses_nothing_while_others_write(store: Store) -> None:
    async def write() -> None:
        for number in range(30):
            stream = new_stream()
            await store.append(Append(events(stream, 1, 1 + number % 3)))
            with pytest.raises(VersionConflict):
                await store.append(Append((event(stream, 1),)))

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) < 5 * 60:
            seen += [got.position for got in await store.read_feed(seen[-1] if seen else 0, 50)]
            await store.wait_past(len(seen), 0.2)
        return seen

    seen, *_ = await asyncio.gather(follow(), *(write() for _ in range(5)))
    assert seen == list(range(1, 301))


async def test_whoever_waits_is_woken_by_an_append(store: Store) -> None:
    waiting = asyncio.create_task(store.wait_past(0, 10))
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await store.append(Append(events(new_stream(), 1, 2)))
    assert await waiting == 2
    assert time.monotonic() - started < 5
    assert await store.wait_past(1, 10) == 2


async def test_waiting_in_vain_ends_in_time(store: Store) -> None:
    await store.append(Append(events(new_stream(), 1, 2)))
    started = time.monotonic()
    assert await store.wait_past(2, 0.1) == 2
    assert 0.09 < time.monotonic() - started < 5


async def test_the_last_versions_of_streams_are_told(store: Store) -> None:
    stream, other = new_stream(), new_stream()
    await store.append(Append((*events(stream, 1, 3), event(other, 1))))
    assert await store.versions([stream, other, new_stream()]) == {stream: 3, other: 1}
    assert await store.versions([]) == {}


async def test_the_latest_snapshot_is_kept_and_none_is_needed(store: Store) -> None:
    stream, other = new_stream(), new_stream()
    await store.append(Append((*events(stream, 1, 3), event(other, 1))))
    before = await feed(store)
    await store.save_snapshots({stream: (2, b"\0second")})
    await store.save_snapshots({stream: (1, b"first"), other: (1, b"other")})
    assert await store.load_snapshots([stream, other]) == {stream: (2, b"\0second"), other: (1, b"other")}
    assert await store.load_snapshots([other, new_stream()]) == {other: (1, b"other")}
    await store.delete_snapshots()
    assert await store.load_snapshots([stream]) == {}
    assert await feed(store) == before
    await store.append(Append((event(stream, 4),)))


async def test_the_feed_is_read_by_bytes_as_well_as_by_count(store: Store) -> None:
    quarter = '"' + "x" * (FEED_BYTES_MAX // 4) + '"'
    for _ in range(10):
        await store.append(Append((event(new_stream(), 1, quarter),)))
    await store.append(Append((event(new_stream(), 1, '"' + "y" * 2 * FEED_BYTES_MAX + '"'),)))
    await store.append(Append(events(new_stream(), 1, 5)))

    seen: list[int] = []
    batches = []
    while batch := await store.read_feed(len(seen), 1_000):
        seen += [one.position for one in batch]
        batches.append(len(batch))

    assert seen == list(range(1, 17)), "none is left out, and one that is too large by itself comes all the same"
    assert batches == [4, 4, 3, 5]
