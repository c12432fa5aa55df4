"""States are kept in memory by their size, as long as something may follow."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.simulated.clock import ManualClock
from api.application.repository import AggregateRepository, CommandContext
from domain.deciding import AggregateRef, Fold, recorded_in
from domain.events import Actor, Event
from domain.ids import AccountId, StreamId
from domain.money import MicroUsd
from domain.ports import Recorded
from domain.wallet.events import FundsCredited
from tests.api.application.test_repository import COUNT, IDS, Room, count, counted, open_one

pytestmark = pytest.mark.anyio


class Watched(MemoryEventStore):
    """Takes note of what is read from the beginning: what was not in memory."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.read_anew: list[UUID] = []

    async def read_streams(self, after: Sequence[tuple[UUID, int]]) -> list[Recorded]:
        self.read_anew += [stream for stream, version in after if not version]
        return await super().read_streams(after)


class Held(MemoryEventStore):
    """Takes note of how much was read at once."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.most_bytes = 0
        self.after_first_read: Callable[[], Awaitable[None]] | None = None

    async def read_streams(self, after: Sequence[tuple[UUID, int]]) -> list[Recorded]:
        read = await super().read_streams(after)
        self.most_bytes = max(self.most_bytes, sum(len(one.payload) for one in read))
        if self.after_first_read is not None:
            then, self.after_first_read = self.after_first_read, None
            await then()
        return read


LENGTH: Fold[int] = Fold(
    initial=0, evolve=lambda length, event: length + len(event.reason) if isinstance(event, FundsCredited) else length
)
TEXT: Fold[str] = Fold(
    initial="", evolve=lambda text, event: text + event.reason if isinstance(event, FundsCredited) else text
)


async def test_states_are_kept_by_their_size_and_not_by_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.application.aggregate_cache.STATES_BYTES_MAX", 10_000)
    room, store = Room(), Watched()
    aggregates = room.aggregates(store)
    large = [AggregateRef(StreamId(IDS.new()), TEXT) for _ in range(5)]
    for ref in large:
        credited = FundsCredited(AccountId(ref.stream), IDS.new(), MicroUsd(1), "x" * 4_000)
        await record(aggregates, ref, credited)
    small = [AggregateRef(StreamId(IDS.new()), COUNT) for _ in range(100)]
    for one in small:
        await open_one(aggregates, one)

    store.read_anew.clear()
    await aggregates.load(*small)
    assert store.read_anew == [], "a hundred small ones fit"
    await aggregates.load(*large[:3])
    assert store.read_anew == [ref.stream for ref in large[:3]], "and three large ones did not beside two others"


async def test_a_state_that_grows_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.application.aggregate_cache.STATES_BYTES_MAX", 10_000)
    room, store = Room(), Watched()
    aggregates = room.aggregates(store)
    other, growing = counted(), AggregateRef(StreamId(IDS.new()), TEXT)
    await open_one(aggregates, other)
    for _ in range(16):
        await record(aggregates, growing, FundsCredited(AccountId(other.stream), IDS.new(), MicroUsd(1), "x" * 1_000))

    store.read_anew.clear()
    await aggregates.load(other)
    assert store.read_anew == [other.stream]


async def test_a_state_that_has_ended_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    room, store = Room(), Watched()
    aggregates = room.aggregates(store)
    ends: Fold[int] = Fold(initial=0, evolve=count, has_ended=lambda total: total >= 2)
    ref = AggregateRef(StreamId(IDS.new()), ends)
    await open_one(aggregates, ref)
    store.read_anew.clear()
    await open_one(aggregates, ref)
    assert store.read_anew == [], "it was kept as long as it went on"

    assert (await aggregates.load(ref)).of(ref) == 2
    assert store.read_anew == [ref.stream]


async def test_a_history_of_large_events_is_folded_without_all_of_it_being_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.memory.event_store.READ_BYTES_MAX", 100_000)
    monkeypatch.setattr("domain.ports.READ_BYTES_MAX", 100_000)
    room, store = Room(), Held()
    writer = room.aggregates(store)
    refs = [AggregateRef(StreamId(IDS.new()), LENGTH) for _ in range(3)]
    for _ in range(20):
        for ref in refs:
            credited = FundsCredited(AccountId(ref.stream), IDS.new(), MicroUsd(1), "x" * 20_000)
            await record(writer, ref, credited)

    store.most_bytes = 0
    loaded = await room.aggregates(store).load(*refs)

    assert [loaded.of(ref) for ref in refs] == [400_000] * 3
    assert store.most_bytes < 150_000, "of 1.6 MB"


async def test_what_is_read_in_parts_is_seen_as_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.memory.event_store.READ_BYTES_MAX", 100_000)
    monkeypatch.setattr("domain.ports.READ_BYTES_MAX", 100_000)
    room, store = Room(), Held()
    writer = room.aggregates(store)
    heavy, light = AggregateRef(StreamId(IDS.new()), LENGTH), AggregateRef(StreamId(IDS.new()), LENGTH)
    for _ in range(20):
        await record(writer, heavy, FundsCredited(AccountId(heavy.stream), IDS.new(), MicroUsd(1), "x" * 20_000))
    await record(writer, light, FundsCredited(AccountId(light.stream), IDS.new(), MicroUsd(1), "x"))

    async def append_to_both() -> None:
        for ref in (light, heavy):
            await record(writer, ref, FundsCredited(AccountId(ref.stream), IDS.new(), MicroUsd(1), "x"))

    store.after_first_read = append_to_both
    loaded = await room.aggregates(store).load(light, heavy)

    assert (loaded.of(light), loaded.of(heavy)) == (2, 400_001), "both as they were when the last part was read"


async def record(aggregates: AggregateRepository, ref: AggregateRef[Any], event: Event) -> None:
    context = CommandContext(actor=Actor("service", part="test"), account_id=AccountId(ref.stream))
    await aggregates.execute([ref], lambda _loaded, _now: recorded_in(ref.stream, event), context)
