"""A tick over a large fleet, on the service's own path, while single appends go on."""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import psycopg

from adapters.embedded_postgres.server import SERVICE_ROLE, EmbeddedPostgres
from adapters.ids import TimeOrderedIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from api.application.metering import settle_due
from api.application.repository import AggregateRepository
from api.workers import gc_tuning as garbage
from domain.compute.host import host_ref
from domain.ids import StreamId
from domain.ports import Append, NewEvent
from domain.time import MICROSECONDS_PER_SECOND, Instant
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.meters import TabledDueAccounts
from projections.reading import ReadModels
from projections.runner import Folding, Runner, connect
from tests.bench.figures import Figure, percentile
from tests.bench.floors import RECORDED_BY_COPY, recorded_by_copy_s
from tests.bench.made_up_fleet import Fleet, fill, observe, opened_sealer
from tests.bench.made_up_ledger import BEGAN
from tests.bench.own_postgres import own_postgres

FLEET = Fleet(accounts=int(os.environ.get("LITEVPS_BENCH_ACCOUNTS", "10000")), vpss_per_account=10, hosts=100)
TICKS = int(os.environ.get("LITEVPS_BENCH_TICKS", "5"))
FOLLOWED_TICKS = 2
TICK_MAX = 4
P99_MAX = 5.0
IDLE_S = 3.0
APPEND_EVERY_S = 0.01
"""Appends begin at this pace whether earlier ones were answered or not, so that none escapes a stall."""

PAYLOAD_TYPE = "bench.appended.v1"
PAYLOAD = '{"type":"bench.appended.v1","amount":5000000,"reference":"bench"}'
METADATA = '{"id":"0198c1f2-7a54-7c3e-9f4b-0a1b2c3d4e5f","actor":{"kind":"service","part":"bench"}}'


class Measured(msgspec.Struct):
    """One tick, or a time without one, and the appends that went on beside it."""

    took_s: float
    appends_s: list[float]


async def run() -> list[Figure]:
    """Measure ticks on a PostgreSQL of its own; ``LITEVPS_BENCH_HOME`` keeps it, filled, for the next time."""
    async with own_postgres("LITEVPS_BENCH_HOME") as server:
        url = server.url(SERVICE_ROLE)
        if await _filled(url):
            # The read models first: what they take in of a whole fleet is vacuumed and analyzed soon after, too.
            async with started(url):
                pass
            await _let_rest(server)
        return await measure(url, server.owner_url)


async def measure(url: str, owner_url: str) -> list[Figure]:
    """Let minutes pass over the fleet."""
    garbage.collect_seldom()  # As the service does.
    reading = ReadModels(url)
    await reading.open()
    figures = []
    warm, idle, floors_s = [], [], []
    vpss = FLEET.vpss_per_account
    fleet = [
        (FLEET.account_id(number), [FLEET.vps_id(vps) for vps in range(number * vpss, (number + 1) * vpss)])
        for number in range(FLEET.accounts)
    ]
    async with started(url) as world:
        after_start, before = await world.tick(reading), await world.idle()
        for _ in range(TICKS):
            idle.append(await world.idle())
            warm.append(await world.tick(reading))
            floors_s.append(await asyncio.to_thread(recorded_by_copy_s, owner_url, fleet, 1_000))
        floor_s = statistics.median(floors_s)
        figures += [_took("a tick just after a start", [after_start], floor_s, None)]
        figures += [_took("a tick, all in memory", warm, floor_s, TICK_MAX)]
        figures += [_p99("appends during a tick just after a start, p99", [after_start], [before], None)]
        figures += [_p99("appends during ticks, p99", warm, idle, P99_MAX)]
        followed = await world.followed(reading, url)
        figures += [_took("a tick that all read models follow", followed, floor_s, None)]
        figures += [_p99("appends while all read models follow, p99", followed, idle, None)]
    await reading.close()
    return figures


class World:
    """A service that has just started: what it keeps in memory, and the fleet's clock."""

    def __init__(
        self, store: PostgresEventStore, aggregates: AggregateRepository, folding: Folding, clock: ManualClock
    ) -> None:
        self._store = store
        self._aggregates = aggregates
        self._folding = folding
        self._clock = clock

    async def tick(self, reading: ReadModels) -> Measured:
        """Let a minute pass and settle it; the read models follow afterwards."""
        await self._minute_passes()
        measured = await self._measured(settle_due(self._aggregates, TabledDueAccounts(reading), self._clock))
        await self.follow()
        return measured

    async def idle(self) -> Measured:
        """Let nothing but appends go on."""
        return await self._measured(asyncio.sleep(IDLE_S, result=FLEET.accounts))

    async def followed(self, reading: ReadModels, url: str) -> list[Measured]:
        """Settle some minutes while the read models are kept up in the same process, as in the service."""
        measured = []
        runner = asyncio.create_task(Runner(self._store, url, READ_MODELS, schema=SCHEMA).run())
        try:
            for _ in range(FOLLOWED_TICKS):
                await self._minute_passes()
                await reading.caught_up(await self._store.head(), *READ_MODELS, timeout_s=600)
                tick = settle_due(self._aggregates, TabledDueAccounts(reading), self._clock)
                measured.append(await self._measured(tick))
        finally:
            runner.cancel()
            await asyncio.wait([runner])
        return measured

    async def _minute_passes(self) -> None:
        self._clock.advance(60)
        await observe(self._aggregates, FLEET, self._clock.now())

    async def follow(self) -> None:
        """Bring the read models up to the head."""
        await self._folding.find_positions()
        while await self._folding.advance():
            pass

    async def _measured(self, work: Awaitable[int]) -> Measured:
        """Do something while appends go on at their pace."""
        appends_s: list[float] = []
        appending = asyncio.create_task(_append_steadily(self._store, appends_s))
        began_s = time.perf_counter()
        done = await work
        took_s = time.perf_counter() - began_s
        appending.cancel()
        await asyncio.wait([appending])
        assert done == FLEET.accounts, f"{done} accounts were settled"
        return Measured(took_s, appends_s)


@asynccontextmanager
async def started(url: str) -> AsyncIterator[World]:
    """Give a service that has just started, its read models up with the ledger."""
    async with (
        PostgresEventStore(url) as store,
        opened_sealer(url) as sealer,
        await connect(url, SCHEMA) as connection,
    ):
        clock = ManualClock()
        aggregates = AggregateRepository(store, sealer, clock, TimeOrderedIds(), store)
        ref = host_ref(FLEET.host_id(0))
        host = (await aggregates.load(ref)).of(ref)
        assert host is not None
        clock.advance(((host.observed_at or BEGAN) - clock.now()) / MICROSECONDS_PER_SECOND)
        world = World(store, aggregates, Folding(connection, store, READ_MODELS), clock)
        await world.follow()
        yield world


async def _filled(url: str) -> bool:
    """Put the fleet into a database that is empty; tell whether it was."""
    async with PostgresEventStore(url) as store, opened_sealer(url) as sealer:
        if await store.head():
            return False
        await fill(store, sealer, TimeOrderedIds(), FLEET)
        return True


async def _let_rest(server: EmbeddedPostgres) -> None:
    """Have the database do now what it would do soon after so much was put in, beside what is measured."""
    async with await psycopg.AsyncConnection.connect(server.owner_url, autocommit=True) as connection:
        await connection.execute("VACUUM (ANALYZE)")
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def _append_steadily(store: PostgresEventStore, appends_s: list[float]) -> None:
    under_way: set[asyncio.Task[None]] = set()
    due_s = time.perf_counter()
    try:
        while True:
            appending = asyncio.create_task(_append(store, due_s, appends_s))
            under_way.add(appending)
            appending.add_done_callback(under_way.discard)
            due_s += APPEND_EVERY_S
            await asyncio.sleep(due_s - time.perf_counter())
    finally:
        if under_way:
            await asyncio.wait(under_way)


async def _append(store: PostgresEventStore, due_s: float, appends_s: list[float]) -> None:
    event = NewEvent(StreamId(uuid4()), 1, PAYLOAD_TYPE, PAYLOAD, METADATA, Instant(1))
    await store.append(Append((event,)))
    appends_s.append(time.perf_counter() - due_s)


def _took(name: str, ticks: Sequence[Measured], floor_s: float, target: float | None) -> Figure:
    took_s = [tick.took_s for tick in ticks]
    note = f"{FLEET.accounts:,} accounts, {FLEET.vpss:,} VPSs; " + ", ".join(f"{one:.2f}" for one in took_s) + " s"
    return Figure(
        name=name,
        measured=statistics.median(took_s),
        unit="s",
        floor=floor_s,
        floor_is=RECORDED_BY_COPY,
        target=target,
        at_most=True,
        note=note,
    )


def _p99(name: str, ticks: Sequence[Measured], idle: Sequence[Measured], limit: float | None) -> Figure:
    beside = sorted(one for tick in ticks for one in tick.appends_s)
    alone = sorted(one for time in idle for one in time.appends_s)
    ours, theirs = percentile(beside, 0.99) * 1000, percentile(alone, 0.99) * 1000
    note = (
        f"of {len(beside)}; p50 {percentile(beside, 0.5) * 1000:.2f}, longest {beside[-1] * 1000:.1f} ms;"
        f" idle p50 {percentile(alone, 0.5) * 1000:.2f}, longest {alone[-1] * 1000:.1f} ms"
    )
    return Figure(
        name=name,
        measured=ours,
        unit="ms",
        floor=theirs,
        floor_is="the same appends while nothing else goes on",
        target=limit,
        at_most=True,
        note=note,
    )
