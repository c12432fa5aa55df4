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
from api.application.repository import AggregateRepository, Loaded
from domain.accounts.account import Unauthorized
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
from domain.wallet.events import MinutesMetered, MinutesWaived, TokenLimitEnded, VpsAdmitted
from domain.wallet.funds import InsufficientBalance, TokenSpendLimitReached
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


async def opened(connect: Connect, clock: ManualClock, funds: int) -> tuple[House, list[AggregateRepository]]:
    """Return an account with funds, and the ledgers of several processes."""
    house = House(await connect(), clock)
    await house.open()
    await house.credit(new_credit_id(), funds)
    return house, [house.started(await connect()) for _ in range(PROCESSES)]


async def running_vps(house: House, *, price_hourly: int = HOURLY) -> VpsId:
    vps_id = VpsId(house.ids.new())
    await house.create(vps_id, await house.define_plan(price_hourly))
    await switch_on(house, vps_id)
    return vps_id


async def switch_on(house: House, vps_id: VpsId) -> None:
    """Have a VPS that was created run from now on."""
    for _ in ("prepare", "launch", "login"):
        await house.take_step(vps_id, start_id=f"boot/{vps_id}")


async def test_a_hundred_creates_at_once_on_funds_for_ten_admit_ten(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=10 * HOURLY + HOURLY // 2)
    plan_id = await house.define_plan(HOURLY)

    creating = (house.create(VpsId(house.ids.new()), plan_id, ledgers[n % PROCESSES]) for n in range(100))
    results = await asyncio.gather(*creating, return_exceptions=True)

    refused = [one for one in results if isinstance(one, InsufficientBalance)]
    assert (len(refused), len(results) - len(refused)) == (90, 10)
    assert {(one.balance, one.required) for one in refused} == {(10 * HOURLY + HOURLY // 2, 11 * HOURLY)}
    assert len((await house.wallet_now()).meters) == 10


async def test_a_hundred_creates_at_once_on_a_limit_for_ten_admit_ten(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=1_000 * HOURLY)
    plan_id = await house.define_plan(HOURLY)
    token_id = await house.create_token(10 * HOURLY + HOURLY // 2, "month", None)

    creating = (house.create(VpsId(house.ids.new()), plan_id, ledgers[n % PROCESSES], token_id) for n in range(100))
    results = await asyncio.gather(*creating, return_exceptions=True)

    refused = [one for one in results if isinstance(one, TokenSpendLimitReached)]
    assert (len(refused), len(results) - len(refused)) == (90, 10)
    assert {(one.left, one.required) for one in refused} == {(10 * HOURLY + HOURLY // 2, 11 * HOURLY)}
    assert [meter.token_id for meter in (await house.wallet_now()).meters_on()] == [token_id] * 10


async def test_whatever_comes_after_a_token_was_revoked_is_refused(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=1_000 * HOURLY)
    plan_id = await house.define_plan(HOURLY)
    token_id = await house.create_token(2 * HOURLY, "total", None)

    doing: list[Awaitable[object]] = [
        house.create(VpsId(house.ids.new()), plan_id, ledgers[n % PROCESSES], token_id) for n in range(20)
    ]
    doing.insert(7, house.revoke_token(token_id))
    await asyncio.gather(*(_answered(one) for one in doing))

    events = [decode(one) for one in await house.store.read_streams([(house.wallet.stream, 0)])]
    revoked_at = next(place for place, event in enumerate(events) if isinstance(event, TokenLimitEnded))
    admitted_at = [place for place, event in enumerate(events) if isinstance(event, VpsAdmitted)]
    assert len(admitted_at) <= 2
    assert all(place < revoked_at for place in admitted_at)


async def test_a_limit_is_spent_once_by_however_many_settle_at_once(connect: Connect, clock: ManualClock) -> None:
    house, ledgers = await opened(connect, clock, funds=100 * HOURLY)
    plan_id = await house.define_plan(HOURLY)
    token_id = await house.create_token(3 * HOURLY, "total", None)
    vpss = [VpsId(house.ids.new()) for _ in range(3)]
    for vps_id in vpss:
        await house.create(vps_id, plan_id, token_id=token_id)
        await switch_on(house, vps_id)
    for _ in range(5):
        clock.advance(1_000)
        await house.observe([GuestSeen(vps_id, 1, f"boot/{vps_id}", True, 1) for vps_id in vpss], clock.now())
        await asyncio.gather(*(house.tick(aggregates) for aggregates in ledgers))

    wallet = await house.wallet_now()
    assert wallet.balance == 97 * HOURLY
    assert wallet.limits[token_id].spent == {0: 3 * HOURLY}
    assert [vps.stop_reason for vps_id in vpss if (vps := await house.vps(vps_id))] == ["limit"] * 3
    await _expect_promises_kept(house)


async def test_a_minute_that_is_used_is_refused_though_the_version_is_right(
    connect: Connect, clock: ManualClock
) -> None:
    house, _ = await opened(connect, clock, funds=HOURLY)
    await running_vps(house)
    await house.tick()
    head = await house.store.head()
    metered = [decode(event) for event in await house.store.read_streams([(house.wallet.stream, 0)])][-1]
    assert isinstance(metered, MinutesMetered)

    def charge_again(_loaded: Loaded, _now: Instant) -> Decision:
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
        doing = [house.tick(aggregates) for aggregates in ledgers]
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
        aggregates = house.started(store)
        while not over.is_set():
            await house.tick(aggregates)


async def _answered(asking: Awaitable[object]) -> None:
    with suppress(InsufficientBalance, TokenSpendLimitReached, Unauthorized, VpsIsCreating, VpsIsStopping):
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
