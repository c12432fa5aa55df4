"""A hundred hosts: how long it takes to place a thousand VPSs, and to compare ten thousand with what hosts show."""

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import psycopg

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.ids import TimeOrderedIds
from adapters.memory.blobs import MemoryBlobs
from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedGuest, SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from api.application.capacity import ensure_registered, room_refs
from api.application.metering import settle_account
from api.application.repository import AggregateRepository, Loaded
from api.application.worker_context import WorkerContext
from api.workers import gc_tuning as garbage
from api.workers.reconciler import Reconciler
from domain.compute.admission import create_vps
from domain.compute.capacity import capacity_ref
from domain.compute.commands import CreateVps
from domain.compute.events import HostObserved, HostRegistered
from domain.compute.host import host_ref
from domain.compute.ports import GuestSeen, GuestSpec
from domain.compute.vps import vps_ref
from domain.deciding import Decision
from domain.ids import AccountId, VpsId
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.wallet import wallet_ref
from projections.catalogue import READ_MODELS
from projections.compute_work import TabledWork
from projections.generation import SCHEMA
from projections.reading import ReadModels
from projections.runner import Folding, connect
from tests.bench.figures import Figure
from tests.bench.floors import Inserts
from tests.bench.made_up_fleet import CONTEXT, LIMITS, PORT_FROM, Fleet, fill, opened_sealer, start_id
from tests.bench.made_up_ledger import BEGAN, PLAN
from tests.bench.own_postgres import own_postgres

FLEET = Fleet(
    accounts=int(os.environ.get("LITEVPS_BENCH_ACCOUNTS", "1000")),
    vpss_per_account=10,
    hosts=int(os.environ.get("LITEVPS_BENCH_HOSTS", "100")),
)
PLACED = int(os.environ.get("LITEVPS_BENCH_PLACED", "1000"))
WARM_UP_S, INSERTS_S = 0.5, 1.5
AT_ONCE = 32
"""Requests under way at once, in each of two processes' worth of memory."""
PLACED_MAX = 100
LOOKED_MAX = 6
INSERTED = "as many bare INSERTs, as many at once, each on a connection of its own"
OBSERVED = "the same observations encoded and decoded by msgspec, and put in by a bare INSERT each"
MEMORY_MB, VCPU, DISK_GB = 131_072, 64, 4_096
"""Of each host: room for 200 VPSs of 512 MiB and 10 GiB."""


async def run() -> list[Figure]:
    """Measure on a PostgreSQL of its own."""
    garbage.collect_seldom()  # As the service does.
    async with own_postgres() as server:
        url = server.url(SERVICE_ROLE)
        async with PostgresEventStore(url) as store, opened_sealer(url) as sealer:
            await fill(store, sealer, TimeOrderedIds(), FLEET)
        async with _worker(url) as one, _worker(url) as other:
            for number in range(FLEET.hosts):
                await ensure_registered(one, _registered(number))
            floor_s = await asyncio.to_thread(_observed_s, server.owner_url)
            return [*await _reconciled(one, floor_s), await _placed([one, other], server.owner_url)]


async def _placed(workers: list[WorkerContext], owner_url: str) -> Figure:
    waiting = iter(range(PLACED))
    ids = TimeOrderedIds()

    async def place(worker: WorkerContext) -> None:
        for number in waiting:
            await _create(worker, FLEET.account_id(number % FLEET.accounts), VpsId(ids.new()))

    began_s = time.perf_counter()
    await asyncio.gather(*(place(worker) for worker in workers for _ in range(AT_ONCE)))
    took_s = time.perf_counter() - began_s
    refs = [capacity_ref(FLEET.host_id(number)) for number in range(FLEET.hosts)]
    loaded = await workers[0].aggregates.load(*refs)
    held = [loaded.of(ref) for ref in refs]
    assert sum(len(one.by_vps) for one in held) == PLACED + FLEET.vpss
    assert all(len(one.ports) == len(one.by_vps) for one in held), "a port leads to one VPS"
    fullest, emptiest = max(one.memory_mb for one in held), min(one.memory_mb for one in held)
    note = f"{PLACED:,} VPSs on {FLEET.hosts} hosts, {len(workers)} × {AT_ONCE} at once; "
    note += f"{emptiest / 1024:.1f} to {fullest / 1024:.1f} GiB a host"
    async with Inserts(owner_url, len(workers) * AT_ONCE) as inserts:
        await inserts.rate(WARM_UP_S, [])
        rate = await inserts.rate(INSERTS_S, [])
    return Figure(
        name="placement",
        measured=took_s,
        unit="s",
        floor=PLACED / rate,
        floor_is=INSERTED,
        target=PLACED_MAX,
        at_most=True,
        note=note,
    )


async def _create(worker: WorkerContext, account_id: AccountId, vps_id: VpsId) -> None:
    hosts, ref, wallet = await room_refs(worker), vps_ref(vps_id), wallet_ref(account_id)
    context = msgspec.structs.replace(CONTEXT, account_id=account_id, step="create")
    command = CreateVps(
        vps_id=vps_id,
        account_id=account_id,
        name="web",
        plan_id=PLAN,
        vcpu=1,
        memory_mb=512,
        disk_gb=10,
        image="lite",
    )

    def decide(loaded: Loaded, now: Instant) -> Decision:
        rooms = hosts.rooms(loaded, new=True)
        return create_vps(loaded.of(ref), loaded.of(wallet), loaded.of(PRICES), rooms, LIMITS, command, now)

    await worker.aggregates.execute([ref, wallet, PRICES, *hosts.refs], decide, context)


async def _reconciled(worker: WorkerContext, floor_s: float) -> list[Figure]:
    took_s = []
    reconciler = Reconciler(worker)
    for _ in range(3):
        assert isinstance(worker.clock, ManualClock)
        worker.clock.advance(20)
        began_s = time.perf_counter()
        await reconciler.reconcile()
        took_s.append(time.perf_counter() - began_s)
    refs = [host_ref(FLEET.host_id(number)) for number in range(FLEET.hosts)]
    seen = await worker.aggregates.load(*refs)
    for ref in refs:
        observed = seen.of(ref)
        assert observed is not None
        assert observed.observed_at == worker.clock.now(), "each host was looked at"
        assert len(observed.shown) == FLEET.vpss // FLEET.hosts, "each guest was seen in the start that is its own"
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    note = f"{FLEET.vpss:,} VPSs on {FLEET.hosts} hosts; memory at most {memory_mb:.0f} MiB"
    look = partial(Figure, unit="s", floor=floor_s, floor_is=OBSERVED, target=LOOKED_MAX, at_most=True, note=note)
    return [
        look(name="a look at all hosts just after a start", measured=took_s[0]),
        look(name="a look at all hosts, all in memory", measured=took_s[-1]),
    ]


def _observed_s(owner_url: str) -> float:
    """Return how long it takes to record what all hosts show, and to read it, with nothing compared."""
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(HostObserved).decode
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("CREATE TABLE public.observed (host uuid, version integer, payload text)")
        began_s = time.perf_counter()
        for number in range(FLEET.hosts):
            seen = tuple(
                GuestSeen(FLEET.vps_id(vps), 1, start_id(vps), True, vps)
                for vps in range(number, FLEET.vpss, FLEET.hosts)
            )
            payload = encode(HostObserved(FLEET.host_id(number), "boot", BEGAN, seen)).decode()
            owner.execute("INSERT INTO public.observed VALUES (%s, %s, %s)", [FLEET.host_id(number), 1, payload])
            decode(payload)
        took_s = time.perf_counter() - began_s
        owner.execute("DROP TABLE public.observed")
    return took_s


@asynccontextmanager
async def _worker(url: str) -> AsyncIterator[WorkerContext]:
    """Give what a process has that drives all the hosts, its read models up with the ledger."""
    clock = ManualClock()
    clock.advance((BEGAN - clock.now()) / 1e6 + 60)
    hosts = [_host(number, clock) for number in range(FLEET.hosts)]
    async with (
        PostgresEventStore(url) as store,
        opened_sealer(url) as sealer,
        await connect(url, SCHEMA) as connection,
    ):
        folding = Folding(connection, store, READ_MODELS)
        await folding.find_positions()
        while await folding.advance():
            pass
        reading = ReadModels(url)
        await reading.open()
        aggregates = AggregateRepository(store, sealer, clock, TimeOrderedIds(), store)

        async def settle(account_id: AccountId) -> Any:
            return await settle_account(aggregates, account_id)

        yield WorkerContext(
            store=store,
            aggregates=aggregates,
            sealer=sealer,
            clock=clock,
            hypervisors={host.host_id: SimulatedHypervisor(host) for host in hosts},
            shell=SimulatedGuestShell(hosts),
            service_key="",
            leases=MemoryLeases(LeaseTable(clock), TimeOrderedIds().new()),
            work=TabledWork(reading),
            blobs=MemoryBlobs(None, clock),  # type: ignore[arg-type]
            settle=settle,
        )
        await reading.close()


def _host(number: int, clock: ManualClock) -> SimulatedHost:
    host = SimulatedHost(FLEET.host_id(number), clock)
    for vps in range(number, FLEET.vpss, FLEET.hosts):
        spec = GuestSpec(FLEET.vps_id(vps), 1, "web", 1, 512, 10, "lite", 1, (), "its-key")
        guest = host.guests[spec.vps_id] = SimulatedGuest(spec)
        guest.seeded = guest.defined = True
        guest.turn_on(start_id(vps), clock.now(), 0)
    return host


def _registered(number: int) -> HostRegistered:
    first = PORT_FROM
    return HostRegistered(
        FLEET.host_id(number), f"host-{number}", "127.0.0.1", first, first + 9_999, MEMORY_MB, VCPU, DISK_GB
    )
