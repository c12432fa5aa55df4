"""A tick over many accounts, just after a start and then again with all in memory."""

import asyncio
import time
from collections.abc import Iterator
from uuid import UUID

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.ids import TimeOrderedIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from api.application.metering import settle_due
from api.application.repository import AggregateRepository, CommandContext
from domain.compute.events import HostObserved, HostRegistered, VpsRunning
from domain.compute.host import host_ref
from domain.compute.ports import GuestSeen
from domain.deciding import recorded_in
from domain.events import Actor
from domain.ids import PRICING_STREAM, AccountId, VpsId, host_stream
from domain.pricing.events import PlanDefined
from domain.time import MINUTE, Instant
from projections.generation import SCHEMA
from projections.meters import METERS, TabledDueAccounts
from projections.reading import ReadModels
from projections.runner import Folding, connect
from tests.bench.figures import Figure
from tests.bench.floors import RECORDED_BY_COPY, recorded_by_copy_s
from tests.bench.made_up_ledger import BEGAN, HOST, HOURLY, PLAN, VPSS_PER_ACCOUNT, Line, made_up_events, put_into
from tests.bench.own_postgres import own_postgres

ACCOUNTS = 5_000
TICKS = 3
TICK_MIN = 0.18


async def run() -> list[Figure]:
    """Measure ticks over a ledger on a PostgreSQL of its own."""
    async with own_postgres() as server:
        return await measure(server.url(SERVICE_ROLE), server.owner_url)


async def measure(service_url: str, owner_url: str) -> list[Figure]:
    """Fill a fresh, migrated database with accounts whose VPSs run, and let minutes pass."""
    guests: list[VpsId] = []
    await asyncio.to_thread(put_into, owner_url, _aggregates(guests))
    reading = ReadModels(service_url)
    await reading.open()
    clock = ManualClock(BEGAN)
    figures = []
    async with PostgresEventStore(service_url) as store, await connect(service_url, SCHEMA) as connection:
        sealer = AccountSealer(MasterKey(bytes(32)), MemoryKeyTable())
        aggregates = AggregateRepository(store, sealer, clock, TimeOrderedIds(), store)
        folding = Folding(connection, store, [METERS])
        await folding.find_positions()
        fleet = [
            (AccountId(UUID(int=first + 1)), guests[first : first + VPSS_PER_ACCOUNT])
            for first in range(0, len(guests), VPSS_PER_ACCOUNT)
        ]
        for tick in range(1, TICKS + 1):
            clock.advance(60)
            await _observe(aggregates, guests, clock.now())
            while await folding.advance():
                pass
            began_s = time.perf_counter()
            settled = await settle_due(aggregates, TabledDueAccounts(reading), clock)
            took_s = time.perf_counter() - began_s
            assert settled == ACCOUNTS, settled
            floor_s = await asyncio.to_thread(recorded_by_copy_s, owner_url, fleet, tick + 1)
            minutes = settled * VPSS_PER_ACCOUNT
            figures.append(
                Figure(
                    name="a tick just after a start, two VPSs an account"
                    if tick == 1
                    else f"a tick, the next ({tick}), two VPSs an account",
                    measured=minutes / took_s,
                    unit="minutes/s",
                    floor=minutes / floor_s,
                    floor_is=RECORDED_BY_COPY,
                    target=TICK_MIN if tick > 1 else None,
                    note=f"{settled:,} accounts in {took_s:.1f} s",
                )
            )
    await reading.close()
    return figures


def _aggregates(guests: list[VpsId]) -> Iterator[Line]:
    yield PRICING_STREAM, PlanDefined(PLAN, "small", 1, 512, 10, HOURLY, BEGAN)
    yield host_stream(HOST), HostRegistered(HOST, "host", "127.0.0.1", 22_000, 22_999, None)
    for stream, event in made_up_events(ACCOUNTS, 1):
        if isinstance(event, VpsRunning):
            guests.append(VpsId(stream))
        yield stream, event


async def _observe(aggregates: AggregateRepository, guests: list[VpsId], at: Instant) -> None:
    seen = tuple(GuestSeen(vps_id, 1, str(vps_id), True, at - BEGAN + MINUTE) for vps_id in guests)
    observed = HostObserved(HOST, "boot", at, seen)
    context = CommandContext(actor=Actor(kind="service", part="bench"))
    await aggregates.execute([host_ref(HOST)], lambda _loaded, _now: recorded_in(host_stream(HOST), observed), context)
