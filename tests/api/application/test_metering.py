"""Settling everything due: over many accounts, by several at once, with a stop for whoever cannot pay."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from api.application.metering import BATCH_ACCOUNTS_MAX, PAUSE_MAX_S, settle_due
from api.application.queues import Backoffs
from domain.codec import decode
from domain.compute.events import VpsStopRequested
from domain.compute.ports import GuestSeen
from domain.ids import AccountId, StreamId, VpsId, vps_stream
from domain.ports import (
    Append,
    Appended,
    EventStore,
    MinuteClaim,
    MinuteTaken,
    NewEvent,
    Recorded,
    StoreUnable,
    StoreUnavailable,
)
from domain.wallet.events import MinutesMetered, MinutesWaived, VpsReleased
from projections.meters import TabledDueAccounts
from tests.properties.house import House, new_credit_id
from tests.storage import OpenStorage, Storage

pytestmark = pytest.mark.anyio

HOURLY = 4_200


async def opened(store: EventStore, clock: ManualClock, funds: int = HOURLY) -> House:
    """Return an account with a VPS that runs from now on."""
    house = House(store, clock)
    await house.open()
    plan_id = await house.define_plan(HOURLY)
    await house.credit(new_credit_id(), funds)
    vps_id = VpsId(house.ids.new())
    await house.create(vps_id, plan_id)
    for _ in ("prepare", "launch", "login"):
        await house.take_step(vps_id, start_id="boot/1")
    return house


def due_in(storage: Storage) -> TabledDueAccounts:
    """Return what tells of minutes to come."""
    return TabledDueAccounts(storage.read_models)


async def shown_to_run(house: House) -> None:
    """Record that the host shows the VPS running now."""
    (vps_id,) = (await house.wallet_now()).meters
    guest = GuestSeen(vps_id, 1, "boot/1", running=True, cpu_ns=1)
    await house.observe([guest], house.clock.now())


async def test_every_account_with_something_due_is_settled(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    houses = [await opened(store, clock) for _ in range(BATCH_ACCOUNTS_MAX + 3)]

    settled = await settle_due(houses[0].aggregates, due_in(storage), clock)

    assert settled == len(houses)
    assert {(await house.wallet_now()).balance for house in houses} == {HOURLY - 70}


async def test_what_two_schedulers_settle_at_once_is_settled_once(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    house = await opened(store, clock)
    clock.advance(120)
    await shown_to_run(house)

    ticks = (settle_due(house.started(), due_in(storage), clock) for _ in range(4))
    settled = await asyncio.gather(*ticks)

    assert sum(settled) == 1
    assert (await house.wallet_now()).balance == HOURLY - 210


async def test_a_minute_that_was_settled_is_used_up_in_the_store(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    house = await opened(store, clock)
    (vps_id,) = (await house.wallet_now()).meters

    await settle_due(house.aggregates, due_in(storage), clock)

    with pytest.raises(MinuteTaken):
        await store.append(Append((), minutes=(MinuteClaim(vps_id, 1, 1),)))


async def test_settled_again_nothing_is_recorded(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    house = await opened(store, clock)
    await settle_due(house.aggregates, due_in(storage), clock)
    head = await store.head()

    assert await settle_due(house.started(), due_in(storage), clock) == 0
    assert await store.head() == head


async def test_the_stop_of_what_cannot_pay_is_in_the_append_that_could_not_charge(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    house = await opened(store, clock)
    clock.advance(60 * 60)
    await shown_to_run(house)
    before = await store.head()

    await settle_due(house.aggregates, due_in(storage), clock)

    recorded = await store.read_feed(before, 100)
    events = [decode(one) for one in recorded]
    assert [type(event) for event in events] == [MinutesMetered, MinutesWaived, VpsReleased, VpsStopRequested]
    assert len({one.recorded_at for one in recorded}) == 1
    assert events[-1] == VpsStopRequested(reason="unpaid", generation=1, at=clock.now())


async def test_an_account_that_cannot_be_settled_keeps_nobody_waiting(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    houses = sorted([await opened(store, clock) for _ in range(2)], key=lambda house: house.account_id)

    class FailsForTheFirst:
        async def append(self, append):  # type: ignore[no-untyped-def]
            if any(event.stream == houses[0].wallet.stream for event in append.events):
                raise RuntimeError("a disk on fire")
            return await store.append(append)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    aggregates = House(FailsForTheFirst(), clock).aggregates

    assert await settle_due(aggregates, due_in(storage), clock) == 1
    assert [(await house.wallet_now()).balance for house in houses] == [HOURLY, HOURLY - 70]


class ReadsNoted(PostgresEventStore):
    """Notes which streams are read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read: set[UUID] = set()

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        self.read |= {stream for stream, _ in after}
        return await super().read_streams(after)


async def test_vpss_are_read_only_where_their_stop_is_asked_for(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock, ReadsNoted)
    store = storage.store
    assert isinstance(store, ReadsNoted)
    house = await opened(store, clock, funds=4_200)
    (vps_id,) = (await house.wallet_now()).meters
    store.read.clear()

    await settle_due(house.started(), due_in(storage), clock)
    assert vps_stream(vps_id) not in store.read

    clock.advance(60 * 60)
    await shown_to_run(house)
    store.read.clear()
    await settle_due(house.started(), due_in(storage), clock)
    assert vps_stream(vps_id) in store.read
    vps = await house.vps(vps_id)
    assert vps is not None
    assert vps.pending == "stop"


class FirstRelease(PostgresEventStore):
    """Records what starts a meter as the first release did, which did not tell where."""

    async def append(self, append: Append) -> Appended:
        events = tuple(map(self._as_it_was, append.events))
        return await super().append(msgspec.structs.replace(append, events=events))

    def _as_it_was(self, event: NewEvent) -> NewEvent:
        if event.type != "wallet.meter-started.v2":
            return event
        fields = msgspec.json.decode(event.payload)
        del fields["host_id"], fields["start_id"]
        fields["type"] = "wallet.meter-started.v1"
        payload = msgspec.json.encode(fields).decode()
        return msgspec.structs.replace(event, type=fields["type"], payload=payload)


async def test_a_meter_that_does_not_tell_where_it_runs_is_settled_by_what_its_vps_tells(
    open_storage: OpenStorage,
) -> None:
    clock = ManualClock()
    storage = await open_storage(clock, FirstRelease)
    store = storage.store
    house = await opened(store, clock)
    clock.advance(120)
    await shown_to_run(house)

    settled = await settle_due(house.started(), due_in(storage), clock)

    assert settled == 1
    assert (await house.wallet_now()).balance == HOURLY - 210


async def test_a_wallet_that_cannot_be_read_keeps_nobody_waiting(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage = await open_storage(clock)
    store = storage.store
    houses = sorted([await opened(store, clock) for _ in range(2)], key=lambda house: house.account_id)

    class Unreadable:
        async def read_streams(self, after):  # type: ignore[no-untyped-def]
            if houses[0].wallet.stream in dict(after):
                raise RuntimeError("a sector is gone")
            return await store.read_streams(after)

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    aggregates = House(Unreadable(), clock).aggregates

    assert await settle_due(aggregates, due_in(storage), clock) == 1
    assert (await houses[1].wallet_now()).balance == HOURLY - 70


class Failing(PostgresEventStore):
    """Cannot be read where something of one wallet is asked for; notes how often that was."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.failing: UUID | None = None
        self.problem: type[Exception] = RuntimeError
        self.tried = 0

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        if self.failing in dict(after):
            self.tried += len(after) < 3  # Of its own, and not of a batch in which it was.
            raise self.problem("a sector is gone")
        return await super().read_streams(after)


TwoHouses = tuple[Storage, Failing, list[House]]


@pytest.fixture
async def failing(open_storage: OpenStorage) -> TwoHouses:
    clock = ManualClock()
    storage = await open_storage(clock, Failing)
    store = storage.store
    assert isinstance(store, Failing)
    houses = sorted([await opened(store, clock) for _ in range(2)], key=lambda house: house.account_id)
    store.failing = houses[0].wallet.stream
    return storage, store, houses


async def test_an_account_that_can_never_be_settled_is_met_again_after_pauses_of_a_minute_at_most(
    failing: tuple[Storage, Failing, list[House]],
) -> None:
    storage, store, houses = failing
    clock, aggregates, due = houses[0].clock, House(store, houses[0].clock).aggregates, due_in(storage)
    pauses = Backoffs[AccountId](clock, PAUSE_MAX_S)
    tried_at = []
    with capture_logs() as logs:
        for second in range(0, 400, 10):
            before = store.tried
            await settle_due(aggregates, due, clock, pauses)
            if store.tried > before:
                tried_at.append(second)
            clock.advance(10)
    assert tried_at == [0, 10, 20, 30, 40, 60, 100, 160, 220, 280, 340]
    assert len([one for one in logs if one["event"] == "account not settled"]) == len(tried_at)

    store.failing = None
    clock.advance(60)
    await shown_to_run(houses[0])
    await settle_due(House(store, clock).aggregates, due, clock, pauses)
    assert (await houses[0].wallet_now()).balance < HOURLY, "once it can be read, all is paid"
    assert pauses.is_over(houses[0].account_id)


async def test_what_passes_by_itself_gives_nobody_a_pause(failing: TwoHouses) -> None:
    storage, store, houses = failing
    store.problem = StoreUnable
    pauses = Backoffs[AccountId](houses[0].clock, PAUSE_MAX_S)
    with capture_logs() as logs:
        for _ in range(5):
            await settle_due(House(store, houses[0].clock).aggregates, due_in(storage), houses[0].clock, pauses)

    assert [one["event"] for one in logs] == ["account not settled"] * 5
    assert pauses.is_over(houses[0].account_id)


@pytest.mark.parametrize("call", ["read_streams", "append"])
async def test_a_tick_tells_that_the_store_is_away(
    failing: tuple[Storage, Failing, list[House]], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, store, houses = failing
    store.failing = None

    async def away(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store, call, away)

    with pytest.raises(StoreUnavailable):
        await settle_due(House(store, houses[0].clock).aggregates, due_in(storage), houses[0].clock)
