"""What many do at once, each on a store connection of its own, leaves every promise about money kept."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from api.ledger import Ledger, Sight
from domain.books.chart import prepaid
from domain.books.postings import postings
from domain.codec import decode
from domain.compute.ports import GuestSeen
from domain.compute.vps import VpsIsCreating, VpsIsStopping
from domain.deciding import Decision, recorded_in
from domain.errors import Contended
from domain.ids import VpsId
from domain.ports import EventStore
from domain.time import Instant
from domain.wallet.events import MinutesMetered, MinutesWaived
from domain.wallet.funds import InsufficientBalance
from tests.properties.house import House, new_credit_id

pytestmark = pytest.mark.anyio

HOURLY = 4_200
PROCESSES = 3
Connect = Callable[[], Awaitable[EventStore]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "postgres"])
async def connect(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Connect]:
    """Give what opens one more store over the same events, as another process has one."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            shared = MemoryEventStore(clock)

            async def in_memory() -> EventStore:
                return shared

            yield in_memory
        else:
            url = request.getfixturevalue("database_url")

            async def on_postgresql() -> EventStore:
                return await stack.enter_async_context(PostgresEventStore(url))

            yield on_postgresql


async def opened(connect: Connect, clock: ManualClock, funds: int) -> tuple[House, list[Ledger]]:
    """Return an account with funds, and the ledgers of several processes."""
    house = House(await connect(), clock)
    await house.open()
    await house.credit(new_credit_id(), funds)
    return house, [house.started(await connect()) for _ in range(PROCESSES)]


async def running_vps(house: House, *, price_hourly: int = HOURLY) -> VpsId:
    vps_id = VpsId(house.ids.new())
    await house.create(vps_id, await house.define_plan(price_hourly))
    for _ in ("place", "prepare", "launch", "login"):
        await house.take_step(vps_id, port=2_200 + random.randrange(7_000), start_id=f"boot/{vps_id}")
    return vps_id


async def test_a_hundred_creates_at_once_on_funds_for_ten_admit_ten(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=10 * HOURLY + HOURLY // 2)
    plan_id = await house.define_plan(HOURLY)

    creating = (house.create(VpsId(house.ids.new()), plan_id, ledgers[n % PROCESSES]) for n in range(100))
    results = Counter(map(type, await asyncio.gather(*creating, return_exceptions=True)))

    assert results[InsufficientBalance] == 90
    assert len((await house.wallet_now()).meters) == 10


async def test_a_minute_that_is_used_is_refused_though_the_version_is_right(
    connect: Connect, clock: ManualClock
) -> None:
    house, _ = await opened(connect, clock, funds=HOURLY)
    await running_vps(house)
    await house.tick()
    head = await house.store.head()
    metered = [decode(event) for event in await house.store.read_streams([(house.wallet.stream, 0)])][-1]
    assert isinstance(metered, MinutesMetered)

    def charge_again(_sight: Sight, _now: Instant) -> Decision:
        return recorded_in(house.wallet.stream, metered)

    with pytest.raises(Contended):
        await house.execute([house.wallet], charge_again)

    assert await house.store.head() == head


async def test_promises_hold_whatever_is_done_at_once(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=12 * HOURLY)
    vpss = [await running_vps(house, price_hourly=HOURLY * (1 + n % 3)) for n in range(4)]
    chance = random.Random(4)

    for _ in range(8):
        clock.advance(chance.choice([1, 59, 60, 61, 1_800]))
        guests = [GuestSeen(vps_id, 1, f"boot/{vps_id}", True, clock.now()) for vps_id in vpss]
        await house.observe(guests, clock.now())
        doing = [house.tick(ledger) for ledger in ledgers]
        doing += [_answered(house.ask(chance.choice(["stop", "start"]), chance.choice(vpss), ledgers[0]))]
        doing += [house.credit(new_credit_id(), chance.randrange(1, 500), ledgers[1])]
        chance.shuffle(doing)
        await asyncio.gather(*doing)

    await _expect_promises_kept(house)


async def test_promises_hold_among_threads_on_postgresql(database_url: str, clock: ManualClock) -> None:
    async with PostgresEventStore(database_url) as store:
        house = House(store, clock)
        await house.open()
        await house.credit(new_credit_id(), 6 * HOURLY)
        vpss = [await running_vps(house) for _ in range(3)]
        over = threading.Event()

        def tick_until_over() -> None:
            asyncio.run(_tick_until(over, house, database_url))

        ticking = [asyncio.create_task(asyncio.to_thread(tick_until_over)) for _ in range(PROCESSES)]
        for cpu_ns in range(1, 20):
            clock.advance(600)
            guests = [GuestSeen(vps_id, 1, f"boot/{vps_id}", True, cpu_ns) for vps_id in vpss]
            await house.observe(guests, clock.now())
            await house.credit(new_credit_id(), 7)
        over.set()
        await asyncio.gather(*ticking)

        await house.tick()
        await _expect_promises_kept(house)
        assert list((await house.wallet_now()).meters_on()) == [], "the funds were for less"


async def _tick_until(over: threading.Event, house: House, database_url: str) -> None:
    async with PostgresEventStore(database_url) as store:
        ledger = house.started(store)
        while not over.is_set():
            await house.tick(ledger)


async def _answered(asking: Awaitable[object]) -> None:
    with suppress(InsufficientBalance, VpsIsCreating, VpsIsStopping):
        await asking


async def _expect_promises_kept(house: House) -> None:
    balance, trial, used = 0, 0, Counter[VpsId]()
    for recorded in await house.store.read_streams([(house.wallet.stream, 0)]):
        event = decode(recorded)
        for posting in postings(event):
            trial += posting.amount
            if posting.account == prepaid(house.account_id):
                balance -= posting.amount
        assert trial == 0
        assert balance >= 0, "metering never takes a balance below zero"
        if isinstance(event, MinutesMetered | MinutesWaived):
            for line in event.lines:
                assert line.n_from == used[line.vps_id] + 1, "each minute is used once, in order"
                used[line.vps_id] = line.n_to
    assert used, "there was something to pay"
    assert balance == (await house.wallet_now()).balance
