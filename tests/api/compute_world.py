"""A played world for tests of the worker: a store and a host that outlive every service over them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

import msgspec
import pytest

from adapters.ids import TimeOrderedIds
from adapters.sealing.key_tables import KeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.simulated.faults import SimulatedCrash
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from api.application.blobs import offloaded_texts
from api.application.capacity import ensure_registered, room_refs
from api.application.expiry import expire_due
from api.application.metering import settle_account
from api.application.repository import AggregateRepository, CommandContext, Loaded
from api.application.worker_context import WorkerContext
from api.workers.provisioning import Worker
from domain.blobs import Blobs
from domain.codec import decode
from domain.compute import admission, snapshots
from domain.compute import vps as life
from domain.compute.admission import both
from domain.compute.capacity import Reservations, capacity_ref
from domain.compute.changing import change_vps
from domain.compute.commands import ChangeVps, CreateVps
from domain.compute.events import HostRegistered
from domain.compute.snapshots import TakeSnapshot
from domain.compute.steps import next_step
from domain.compute.vps import Vps, vps_ref
from domain.compute.work import Leases, OpenWork
from domain.deciding import Decision, recorded_in
from domain.events import Actor, Event
from domain.ids import PRICING_STREAM, AccountId, HostId, PlanId, SnapshotId, VpsId
from domain.money import MicroUsd
from domain.pricing.events import PlanDefined
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_REF
from domain.time import Instant
from domain.wallet.events import FundsCredited, MinutesMetered, MinutesWaived, VpsAdmitted, WalletOpened
from domain.wallet.wallet import Wallet, wallet_ref
from tests.api.poisoned import PoisonedStore
from tests.storage import OpenStorage

IDS = TimeOrderedIds()
SERVICE_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBadServiceKeyForPlayedGuestsOnlyAAAAAAAAAAAA litevps"
PRICE_HOURLY = MicroUsd(4_200)
PLAN = PlanId(UUID(int=7))
WAIT_S = 5.0


class Life:
    """One run of a service: once it is over, nothing of it does anything any more."""

    def __init__(self) -> None:
        self.over = False

    def crash(self) -> None:
        """End it here."""
        self.over = True
        raise SimulatedCrash

    def bind(self, inner: Any) -> Any:
        """Return what stands for ``inner`` for as long as this life lasts."""
        return _Mortal(self, inner)


class _Mortal:
    def __init__(self, life: Life, inner: object) -> None:
        self._life, self._inner = life, inner

    def __getattr__(self, name: str) -> object:
        if self._life.over:
            raise SimulatedCrash
        return getattr(self._inner, name)


class Kept(Protocol):
    """What a service keeps: in PostgreSQL, or in memory where time is played."""

    @property
    def store(self) -> Any:
        """Events, and snapshots of what they come to."""
        ...

    @property
    def keys(self) -> KeyTable:
        """Sealing keys."""
        ...

    @property
    def blobs(self) -> Blobs:
        """Texts beside events."""
        ...

    @property
    def work(self) -> OpenWork:
        """What is to be done."""
        ...

    def leases(self, holder: UUID) -> Leases:
        """Return the leases of one process."""
        ...


class World:
    """What a crash of the service does not touch."""

    def __init__(
        self,
        kept: Kept,
        clock: ManualClock,
        *,
        boot_s: float = 0,
        memory_mb: int | None = None,
        vcpu: int | None = None,
        disk_gb: int | None = None,
        ports: int = 100,
        hosts: int = 1,
    ) -> None:
        self.clock = clock
        self.kept, self.store, self.blobs = kept, kept.store, kept.blobs
        self.hosts = [
            SimulatedHost(HostId(UUID(int=k)), clock, ssh_host=f"127.0.0.{k}", boot_s=boot_s)
            for k in range(1, hosts + 1)
        ]
        self.host = self.hosts[0]
        self.account_id = AccountId(IDS.new())
        self.registered = HostRegistered(
            self.host.host_id, "played", self.host.ssh_host, 2200, 2200 + ports - 1, memory_mb, vcpu, disk_gb
        )

    def worker(self, life: Life | None = None) -> WorkerContext:
        """Return what a service has just after its start: nothing remembered."""
        life = life or Life()
        sealer = AccountSealer(MasterKey(b"k" * 32), self.kept.keys)
        store, blobs = life.bind(self.store), life.bind(self.blobs)
        aggregates = AggregateRepository(store, sealer, self.clock, IDS, snapshots=self.store, blobs=blobs)
        hypervisors = [life.bind(SimulatedHypervisor(host)) for host in self.hosts]

        async def pay(account_id: AccountId) -> None:
            await settle_account(worker.aggregates, account_id)

        worker = WorkerContext(
            store=store,
            aggregates=aggregates,
            sealer=sealer,
            clock=self.clock,
            hypervisors={hypervisor.host_id: hypervisor for hypervisor in hypervisors},
            shell=life.bind(SimulatedGuestShell(self.hosts, client_key_public=SERVICE_KEY)),
            service_key=SERVICE_KEY,
            leases=life.bind(self.kept.leases(IDS.new())),
            work=life.bind(self.kept.work),
            blobs=blobs,
            settle=pay,
        )
        return worker

    async def founded(self, funds: int = 1_000_000) -> WorkerContext:
        """Record a plan, the host and an account with funds; return the worker context that did."""
        worker = self.worker()
        now = self.clock.now()
        plan = PlanDefined(PLAN, "small", 1, 256, 5, PRICE_HOURLY, now)
        credited = FundsCredited(self.account_id, IDS.new(), MicroUsd(funds), "a start")
        wallet = wallet_ref(self.account_id)
        await self.execute(worker, [PRICES], recorded_in(PRICING_STREAM, plan))
        await self.execute(worker, [wallet], recorded_in(wallet.stream, WalletOpened(self.account_id), credited))
        for host in self.hosts:
            registered = msgspec.structs.replace(self.registered, host_id=host.host_id, ssh_host=host.ssh_host)
            await ensure_registered(worker, registered)
        return worker

    async def execute(self, worker: WorkerContext, refs: list[object], decision: Decision) -> None:
        """Record just this."""
        await worker.aggregates.execute(refs, lambda _loaded, _now: decision, self.context(""))  # type: ignore[arg-type]

    def context(self, step: str) -> CommandContext:
        """Return the context of the account's own requests."""
        actor = Actor(kind="account", id=self.account_id)
        return CommandContext(actor=actor, account_id=self.account_id, step=step)

    async def create(
        self, worker: WorkerContext, *, vps_id: VpsId | None = None, name: str = "web", user_data: str | None = None
    ) -> VpsId:
        """Ask for a VPS, as its owner does."""
        vps_id = vps_id or VpsId(IDS.new())
        # Who asks is known at once: the next one may ask meanwhile.
        account_id, command, context = self.account_id, self.command(vps_id, name), self.context("create")
        ref, wallet = vps_ref(vps_id), wallet_ref(account_id)
        texts = {"user_data": user_data}
        aside = await offloaded_texts(worker.sealer, ref.stream, account_id, texts)
        command = msgspec.structs.replace(command, user_data=user_data, offloaded_user_data=aside.get("user_data"))
        hosts = await room_refs(worker)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            rooms, limits = hosts.rooms(loaded, new=True), loaded.of(SETTINGS_REF).vps_limits
            return admission.create_vps(
                loaded.of(ref), loaded.of(wallet), loaded.of(PRICES), rooms, limits, command, now
            )

        await worker.aggregates.execute([ref, wallet, PRICES, *hosts.refs], decide, context)
        return vps_id

    async def create_unplaced(self, worker: WorkerContext, *, vps_id: VpsId | None = None) -> VpsId:
        """Record a VPS as it was before hosts had reservations: asked for and admitted, with no place yet."""
        vps_id, now = vps_id or VpsId(IDS.new()), self.clock.now()
        ref, wallet = vps_ref(vps_id), wallet_ref(self.account_id)
        admitted = VpsAdmitted(self.account_id, vps_id, 1, PLAN, None, now)
        requested = life.create(self.command(vps_id, "web"), now)
        await self.execute(worker, [ref, wallet], both(self.account_id, vps_id, (admitted,), requested))
        return vps_id

    def command(self, vps_id: VpsId, name: str) -> CreateVps:
        """Return what a customer asks for."""
        return CreateVps(
            vps_id=vps_id,
            account_id=self.account_id,
            name=name,
            plan_id=PLAN,
            vcpu=1,
            memory_mb=256,
            disk_gb=5,
            image="lite",
        )

    async def reserved(self) -> Reservations:
        """Return what is reserved of the host."""
        ref = capacity_ref(self.host.host_id)
        return (await self.worker().aggregates.load(ref)).of(ref)

    async def ask(self, worker: WorkerContext, verb: str, vps_id: VpsId) -> None:
        """Ask a VPS to start, stop, restart or go, as its owner does."""
        account_id, context = self.account_id, self.context(verb)
        ref, wallet, hosts = vps_ref(vps_id), wallet_ref(account_id), await room_refs(worker)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            vps, purse = loaded.of(ref), loaded.of(wallet)
            match verb:
                case "start":
                    return admission.start_vps(
                        vps, purse, loaded.of(PRICES), hosts.rooms(loaded, new=False), account_id, now
                    )
                case "stop":
                    return admission.stop_vps(vps, purse, account_id, now)
                case "restart":
                    return admission.restart_vps(vps, account_id, now)
                case _:
                    return admission.delete_vps(vps, purse, account_id, now)

        await worker.aggregates.execute([ref, wallet, PRICES, *hosts.refs], decide, context)

    async def change(self, worker: WorkerContext, vps_id: VpsId, **changes: Any) -> None:
        """Ask for a VPS to be otherwise, as its owner does."""
        ref, wallet, hosts = vps_ref(vps_id), wallet_ref(self.account_id), await room_refs(worker)
        command = ChangeVps(vps_id=vps_id, account_id=self.account_id, **changes)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            rooms, limits = hosts.rooms(loaded, new=False), loaded.of(SETTINGS_REF).vps_limits
            return change_vps(loaded.of(ref), loaded.of(wallet), loaded.of(PRICES), rooms, limits, command, now)

        await worker.aggregates.execute([ref, wallet, PRICES, *hosts.refs], decide, self.context("change"))

    async def take_snapshot(self, worker: WorkerContext, vps_id: VpsId, name: str) -> SnapshotId:
        """Ask for a snapshot, as the owner of a VPS does."""
        ref, wallet, hosts = vps_ref(vps_id), wallet_ref(self.account_id), await room_refs(worker)
        command = TakeSnapshot(snapshot_id=SnapshotId(IDS.new()), name=name)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            rooms, limits = hosts.rooms(loaded, new=False), loaded.of(SETTINGS_REF).vps_limits
            vps, purse, book = loaded.of(ref), loaded.of(wallet), loaded.of(PRICES)
            return snapshots.take_snapshot(vps, purse, book, rooms, limits, 16, self.account_id, command, now)

        await worker.aggregates.execute([ref, wallet, PRICES, *hosts.refs], decide, self.context("snapshot"))
        return command.snapshot_id

    async def restore(self, worker: WorkerContext, vps_id: VpsId, name: str) -> None:
        """Ask for a disk as it was, as the owner of a VPS does."""
        ref, wallet = vps_ref(vps_id), wallet_ref(self.account_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            vps, purse, book = loaded.of(ref), loaded.of(wallet), loaded.of(PRICES)
            return snapshots.restore_snapshot(vps, purse, book, self.account_id, name, now)

        await worker.aggregates.execute([ref, wallet, PRICES], decide, self.context("restore-asked"))

    async def delete_snapshot(self, worker: WorkerContext, vps_id: VpsId, name: str) -> None:
        """Ask for a snapshot to go, as the owner of a VPS does."""
        ref = vps_ref(vps_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            return snapshots.delete_snapshot(loaded.of(ref), self.account_id, name, now)

        await worker.aggregates.execute([ref], decide, self.context("delete-snapshot"))

    async def expired(self, worker: WorkerContext, vps_id: VpsId) -> None:
        """Have the task that deletes what has expired run until it has met a VPS."""
        async with asyncio.timeout(WAIT_S):
            while (vps := await worker.vps(vps_id)) is not None and not vps.gone:
                await expire_due(worker)
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def working(self, worker: WorkerContext) -> AsyncIterator[Worker]:
        """Have a worker run meanwhile, and drain at the end."""
        running = Worker(worker, poll_s=0.02)
        task = asyncio.create_task(running.run())
        try:
            yield running
        finally:
            task.cancel()
            await asyncio.wait([task])

    @asynccontextmanager
    async def with_vps(self) -> AsyncIterator[tuple[WorkerContext, VpsId]]:
        """Have a world with a host, a worker that runs meanwhile, and a VPS for which it has nothing left to do."""
        worker = await self.founded()
        async with self.working(worker):
            vps_id = await self.create(worker)
            await self.settled(worker, vps_id)
            yield worker, vps_id

    async def settled(self, worker: WorkerContext, *vps_ids: VpsId) -> list[Vps]:
        """Wait until there is nothing to do for these VPSs; return them."""
        async with asyncio.timeout(WAIT_S):
            while True:
                vpss = [await worker.vps(vps_id) for vps_id in vps_ids]
                if all(next_step(vps) is None for vps in vpss):
                    return [vps for vps in vpss if vps is not None]
                await asyncio.sleep(0.005)

    async def leased(self, scope: str, key: UUID) -> bool:
        """Return whether a thing is somebody's, or to be left alone for now."""
        return bool(await self.kept.leases(IDS.new()).taken(scope, [key]))

    async def wallet(self) -> Wallet:
        """Return the account's wallet, as a service that has just started sees it."""
        ref = wallet_ref(self.account_id)
        return (await self.worker().aggregates.load(ref)).of(ref)

    async def events(self, *kinds: type[Event]) -> list[Event]:
        """Return what was recorded of these kinds, in order, personal fields sealed."""
        events = [decode(recorded) for recorded in await self.store.read_feed(0, 1_000_000)]
        return [event for event in events if not kinds or isinstance(event, kinds)]

    async def minutes(self, vps_id: VpsId) -> tuple[list[int], list[int]]:
        """Return the numbers of the paid and of the waived minutes of a VPS."""
        paid: list[int] = []
        waived: list[int] = []
        for event in await self.events(MinutesMetered, MinutesWaived):
            assert isinstance(event, MinutesMetered | MinutesWaived)
            numbers = paid if isinstance(event, MinutesMetered) else waived
            for line in event.lines:
                if line.vps_id == vps_id:
                    numbers += range(line.n_from, line.n_to + 1)
        return paid, waived


Worlds = Callable[..., Awaitable[World]]
"""``await worlds(memory_mb=512)``: a world over a fresh database, which is closed after the test."""


@pytest.fixture
def worlds(open_storage: OpenStorage) -> Worlds:
    """Give what makes worlds for this test."""

    async def made(**more: Any) -> World:
        clock = ManualClock()
        return World(await open_storage(clock, PoisonedStore), clock, **more)

    return made


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true, for at most ``WAIT_S``."""
    async with asyncio.timeout(WAIT_S):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
