"""What readers of every event store are promised: all of it, in order, at once."""

import asyncio
import random
import time

import pytest

from domain.ids import StreamId
from domain.ports import READ_BYTES_MAX, Append, Recorded, VersionConflict, may_be_cut
from domain.time import Instant
from tests.contracts.event_stores import Store, event, events, feed, new_stream, store, stores

__all__ = ["store", "stores"]

pytestmark = pytest.mark.anyio

QUARTER = '"' + "x" * (READ_BYTES_MAX // 4) + '"'


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
    for _ in range(10):
        await store.append(Append((event(new_stream(), 1, QUARTER),)))
    await store.append(Append((event(new_stream(), 1, '"' + "y" * 2 * READ_BYTES_MAX + '"'),)))
    await store.append(Append(events(new_stream(), 1, 5)))

    seen: list[int] = []
    batches = []
    while batch := await store.read_feed(len(seen), 1_000):
        seen += [one.position for one in batch]
        batches.append(len(batch))

    assert seen == list(range(1, 17)), "none is left out, and one that is too large by itself comes all the same"
    assert batches == [4, 4, 3, 5]


async def test_streams_are_read_by_bytes_and_whoever_asks_again_has_all_of_them(store: Store) -> None:
    heavy, other, light = new_stream(), new_stream(), new_stream()
    await store.append(Append(events(light, 1, 3)))
    for version in range(1, 7):
        await store.append(Append((event(heavy, version, QUARTER), event(other, version, QUARTER))))
    await store.append(Append((event(light, 4),)))

    versions: dict[StreamId, int] = dict.fromkeys((heavy, other, light), 0)
    parts = []
    while part := await store.read_streams(list(versions.items())):
        parts.append([(one.stream, one.version) for one in part])
        versions |= {one.stream: one.version for one in part}
        assert may_be_cut(part) == (len(parts) < 4)

    assert [len(part) for part in parts] == [7, 4, 4, 1]
    assert parts[0][:5] == [(light, 1), (light, 2), (light, 3), (heavy, 1), (other, 1)], "in order of position"
    assert versions == {heavy: 6, other: 6, light: 4}


async def test_whoever_asks_at_the_same_time_for_little_gets_all_of_it(store: Store) -> None:
    heavy, light = new_stream(), new_stream()
    for version in range(1, 11):
        await store.append(Append((event(heavy, version, QUARTER),)))
    await store.append(Append(events(light, 1, 3)))

    results = await asyncio.gather(
        *(store.read_streams([(heavy, 0)]) for _ in range(3)), *(store.read_streams([(light, 0)]) for _ in range(3))
    )

    assert [[one.version for one in got] for got in results] == 3 * [[1, 2, 3, 4]] + 3 * [[1, 2, 3]]


async def test_a_part_of_a_stream_is_read_by_bytes(store: Store) -> None:
    stream = new_stream()
    for version in range(1, 7):
        await store.append(Append((event(stream, version, QUARTER),)))
    await store.append(Append((event(stream, 7, '"' + "y" * 2 * READ_BYTES_MAX + '"'),)))

    assert [one.version for one in await store.read_stream(stream, 0, 7)] == [1, 2, 3, 4]
    assert [one.version for one in await store.read_stream(stream, 4, 7)] == [5, 6, 7]
    assert [one.version for one in await store.read_stream(stream, 6, 7)] == [7], "too large by itself, it comes alone"


def recorded(payload: str) -> Recorded:
    return Recorded(1, new_stream(), 1, "test.happened.v1", payload, "{}", Instant(1), Instant(1), b"")


def test_an_answer_that_was_cut_is_known_by_its_length_whatever_its_characters() -> None:
    heavy = recorded(chr(0x1F4B8) * (READ_BYTES_MAX // 4))

    assert may_be_cut([heavy])
    assert not may_be_cut([recorded("x" * (READ_BYTES_MAX // 4 - 100))])
