"""What recording means in every event store, in memory and on PostgreSQL alike."""

import asyncio
from uuid import uuid4

import pytest

from domain.ids import VpsId
from domain.leaf_hash import leaf_hash_of
from domain.ports import Append, Appended, ClaimTaken, MinuteClaim, MinuteTaken, NewEvent, VersionConflict
from tests.contracts.event_stores import (
    HAPPENED_AT,
    StepBack,
    Store,
    claim,
    event,
    events,
    feed,
    new_stream,
    now,
    store,
    stores,
)

__all__ = ["store", "stores"]

pytestmark = pytest.mark.anyio


async def test_an_empty_store_has_no_events(store: Store) -> None:
    assert await store.head() == 0
    assert await feed(store) == []
    assert await store.read_streams([(new_stream(), 0)]) == []
    assert await store.read_streams([]) == []


async def test_what_is_recorded_comes_back_as_it_was(store: Store) -> None:
    stream = new_stream()
    sent = NewEvent(stream, 1, "test.happened.v1", '{"b":1, "a":"\\u0000é\U0001f600"}', "{ }", HAPPENED_AT)
    before = now()
    appended = await store.append(Append((sent,)))
    (got,) = await store.read_streams([(stream, 0)])
    assert appended == Appended(1, 1, got.recorded_at)
    assert before - 1_000_000 < got.recorded_at < now() + 1_000_000
    assert (got.position, got.stream, got.version, got.type) == (1, stream, 1, sent.type)
    assert (got.payload, got.metadata, got.happened_at) == (sent.payload, sent.metadata, HAPPENED_AT)


async def test_every_event_has_the_hash_of_its_envelope(store: Store) -> None:
    stream = new_stream()
    sent = (
        event(stream, 1),
        event(stream, 2, '"é\\u0000\U0001f600"'),
        event(stream, 3, ""),
        event(stream, 4, "x" * 70_000),
    )
    await store.append(Append(sent))
    assert all(got.leaf_hash == leaf_hash_of(got) for got in await feed(store))
    assert len({got.leaf_hash for got in await feed(store)}) == 4


async def test_an_append_over_several_streams_is_recorded_whole_and_in_order(store: Store) -> None:
    one, other = new_stream(), new_stream()
    appended = await store.append(Append((event(one, 1), event(other, 1), event(one, 2))))
    assert (appended.first_position, appended.last_position) == (1, 3)
    assert [(got.stream, got.version) for got in await feed(store)] == [(one, 1), (other, 1), (one, 2)]


async def test_a_stream_that_moved_on_refuses_and_nothing_of_the_append_is_recorded(store: Store) -> None:
    one, other = new_stream(), new_stream()
    await store.append(Append(events(one, 1, 2)))
    for version in (1, 2, 4):
        with pytest.raises(VersionConflict):
            await store.append(
                Append((event(other, 1), event(one, version)), (claim(),), (), (MinuteClaim(VpsId(other), 1, 1),))
            )
    assert await store.head() == 2
    assert await store.find_claim("email", b"key") is None
    await store.append(Append((event(other, 1),), (), (), (MinuteClaim(VpsId(other), 1, 1),)))


@pytest.mark.parametrize("first", [0, 2, 7])
async def test_a_new_stream_begins_with_version_1(store: Store, first: int) -> None:
    with pytest.raises(VersionConflict):
        await store.append(Append((event(new_stream(), first),)))
    assert await store.head() == 0


@pytest.mark.parametrize("versions", [(1, 1), (1, 3), (2, 1)])
async def test_versions_within_an_append_follow_each_other(store: Store, versions: tuple[int, ...]) -> None:
    stream = new_stream()
    with pytest.raises(VersionConflict):
        await store.append(Append(tuple(event(stream, version) for version in versions)))
    assert await store.head() == 0


@pytest.mark.parametrize("field", ["type", "payload", "metadata"])
async def test_text_that_cannot_be_kept_is_refused_by_itself(store: Store, field: str) -> None:
    fields = {"type": "t", "payload": "{}", "metadata": "{}"}
    for text, reason in (("a\0b", "NUL"), ("a\ud800b", "surrogate")):
        changed = {**fields, field: text}
        bad = NewEvent(new_stream(), 1, changed["type"], changed["payload"], changed["metadata"], HAPPENED_AT)
        good = Append((event(new_stream(), 1),))
        refused, _ = await asyncio.gather(
            store.append(Append((event(new_stream(), 1), bad))), store.append(good), return_exceptions=True
        )
        assert isinstance(refused, ValueError)
        assert reason in str(refused)
    assert [got.position for got in await feed(store)] == [1, 2]


async def test_recorded_time_never_runs_backwards(stores: tuple[Store, StepBack]) -> None:
    store, step_back = stores
    for _ in range(3):
        await store.append(Append(events(new_stream(), 1, 2)))
        step_back()
    last = await store.append(Append(events(new_stream(), 1, 2)))
    times = [got.recorded_at for got in await feed(store)]
    assert times == sorted(times)
    assert times[-1] == last.recorded_at


async def test_of_a_hundred_at_once_only_offenders_are_refused_and_positions_have_no_gap(store: Store) -> None:
    busy, vps = new_stream(), VpsId(uuid4())
    await store.append(Append((event(busy, 1),), (claim(b"taken"),), (), (MinuteClaim(vps, 1, 5),)))
    streams = [new_stream() for _ in range(100)]

    def wanted(number: int) -> Append:
        both = (event(streams[number], 1), event(streams[number], 2))
        match number % 5:
            case 1:
                return Append((*both, event(busy, 1)))
            case 2:
                return Append(both, (claim(b"taken"),))
            case 3:
                return Append(both, (), (), (MinuteClaim(vps, 5, 6),))
        return Append(both)

    results = await asyncio.gather(*(store.append(wanted(number)) for number in range(100)), return_exceptions=True)
    kinds = [Appended, VersionConflict, ClaimTaken, MinuteTaken, Appended]
    assert [type(result) for result in results] == [kinds[number % 5] for number in range(100)]
    got = await feed(store)
    assert [one.position for one in got] == list(range(1, 82))
    for number, result in enumerate(results):
        if isinstance(result, Appended):
            mine = [one for one in got if one.stream == streams[number]]
            assert [one.position for one in mine] == [result.first_position, result.last_position]


async def test_of_many_who_want_the_same_next_version_one_gets_it(store: Store) -> None:
    stream = new_stream()
    results = await asyncio.gather(
        *(store.append(Append((event(stream, 1),))) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(result, Appended) for result in results) == 1
    assert sum(isinstance(result, VersionConflict) for result in results) == 19
    assert await store.head() == 1


async def test_appends_of_one_caller_on_one_stream_keep_their_order_in_the_queue(store: Store) -> None:
    stream = new_stream()
    await asyncio.gather(*(store.append(Append((event(stream, version),))) for version in range(1, 31)))
    assert [got.version for got in await store.read_streams([(stream, 0)])] == list(range(1, 31))


async def test_an_append_may_be_big(store: Store) -> None:
    streams = [new_stream() for _ in range(40)]
    many = tuple(event(stream, version, "x" * 50) for stream in streams for version in range(1, 301))
    appended = await store.append(Append(many))
    assert (appended.first_position, appended.last_position) == (1, 12_000)
    assert len(await store.read_streams([(stream, 150) for stream in streams])) == 6_000


async def test_a_caller_that_leaves_does_not_disturb_the_others(store: Store) -> None:
    leaving = [asyncio.create_task(store.append(Append((event(new_stream(), 1),)))) for _ in range(10)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    staying = await asyncio.gather(*(store.append(Append((event(new_stream(), 1),))) for _ in range(10)))
    got = await feed(store)
    assert [one.position for one in got] == list(range(1, len(got) + 1))
    assert {one.first_position for one in staying} <= {one.position for one in got}
