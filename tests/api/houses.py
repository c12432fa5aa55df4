"""Houses: the whole service over a database of its own, with hosts that are played, for tests of its ways in."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import psycopg

from adapters.clock import SystemClock
from adapters.ids import TimeOrderedIds
from adapters.jwt import JwtSessions
from adapters.passwords import Argon2Passwords
from adapters.postgres.guest_metrics import PostgresGuestMetrics
from adapters.postgres.last_uses import PostgresLastUses
from adapters.postgres.rate_counters import PostgresRateCounters
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from adapters.token_secrets import MarkedTokenSecrets
from adapters.turnstile import TEST_TOKEN, DevelopmentCaptcha
from api.application.capacity import ensure_registered
from api.application.metering import settle_account, settle_due
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.refunding import request_refund_of_all
from api.application.repository import AggregateRepository, CommandContext
from api.application.runtime import Runtime, StandIn
from api.application.settings import Settings
from api.application.statements.source import StatementSource
from api.application.vps_queries import VpsList
from api.application.worker_context import WorkerContext
from api.bootstrap.payments import STAND_IN_PREFIX
from api.http.app import create_app
from api.workers.provisioning import Worker
from domain.compute.events import HostRegistered
from domain.deciding import recorded_in
from domain.events import Actor
from domain.ids import PRICING_STREAM, AccountId, HostId, PlanId, wallet_stream
from domain.money import MicroUsd
from domain.ports import Clock, Ids
from domain.pricing.commands import DefinePlan
from domain.pricing.price_book import PRICES, define_plan
from domain.time import MICROSECONDS_PER_SECOND
from domain.wallet.commands import CreditFunds
from domain.wallet.funds import credit_funds
from domain.wallet.wallet import wallet_ref
from projections.alerts import TabledAlertWork
from projections.closings import TabledOpenClosings
from projections.meters import TabledDueAccounts
from projections.payments import TabledPayments
from tests.databases import Databases
from tests.storage import Storage, opened_storage

ELSEWHERE = HostId(UUID(int=4711))
ADDRESS = "http://litevps.test"
PASSWORD = "correct horse"
JWT_KEY = bytes(range(32))
"""Signs sessions."""
SERVICE_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSkwJq1mVKDXN0vPH2ZgRQjLh3PpIlxLF3mLVFbXF service"
ROOMY = Settings(
    development=True,
    requests_per_minute=1_000_000,
    logins_per_minute=1_000_000,
    registrations_per_minute=1_000_000,
    wrong_credentials_per_minute=1_000_000,
)


class House(msgspec.Struct, eq=False):
    """A service, a client of it, the host that it drives, and what it keeps."""

    runtime: Runtime
    client: httpx.AsyncClient
    host: SimulatedHost
    storage: Storage | None = None
    """None where another part of the test has opened it."""

    @property
    def stripe(self) -> StripeStandIn:
        """What stands in for Stripe."""
        assert self.runtime.stand_in is not None
        stand_in = self.runtime.stand_in.app
        assert isinstance(stand_in, StripeStandIn)
        return stand_in

    async def sql(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Do something to the database behind the service's back; return what comes of it."""
        async with await psycopg.AsyncConnection.connect(self.runtime.database_url, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), parameters)
            return await cursor.fetchall() if cursor.description else []

    async def register(self, email: str | None = None) -> "Customer":
        """Register somebody over HTTP."""
        email = email or f"{uuid4().hex[:12]}@example.com"
        body = {"email": email, "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
        response = await self.client.post("/api/auth/register", json=body)
        assert response.status_code == 201, response.text
        made = response.json()
        return Customer(self, AccountId(UUID(made["id"])), email, made["token"])

    async def nano(self) -> str:
        """Return the id of the plan Nano."""
        plans = (await self.client.get("/api/pricing")).json()
        return str(next(plan["id"] for plan in plans if plan["name"] == "Nano"))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Have a worker take steps."""
        task = asyncio.create_task(Worker(self.runtime.worker, poll_s=0.05).run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Customer(msgspec.Struct, eq=False):
    """Somebody with an account."""

    house: House
    id: AccountId
    email: str
    token: str

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request with the account's token."""
        given = {"authorization": f"Bearer {self.token}", **(headers or {})}
        return await self.house.client.request(method, path, headers=given, **more)

    async def credit(self, micros: int) -> None:
        """Give the account funds."""
        ref = wallet_ref(self.id)
        command = CreditFunds(uuid4(), MicroUsd(micros), "a test")
        await self.house.runtime.aggregates.execute(
            [ref],
            lambda loaded, _: recorded_in(wallet_stream(self.id), *credit_funds(loaded.of(ref), command)),
            CommandContext(actor=Actor("service", part="test"), account_id=self.id),
        )

    async def until(self, vps_id: str, state: str) -> dict[str, Any]:
        """Wait until a VPS is in a state; return it."""
        for _ in range(500):
            vps: dict[str, Any] = (await self.ask("GET", f"/api/vps/{vps_id}")).json()
            if vps["state"] == state and vps["pending"] is None:
                return vps
            await asyncio.sleep(0.01)
        raise AssertionError(f"still {vps}")


@asynccontextmanager
async def house(
    databases: Databases, settings: Settings = ROOMY, clock: Clock | None = None, *, open_for_business: bool = True
) -> AsyncIterator[House]:
    """Make a house over a fresh database, with one host and one plan, unless it is not open for business."""
    clock = clock or SystemClock()
    host = SimulatedHost(HostId(uuid4()), clock)
    async with opened_storage(databases, clock) as storage, running_runtime(storage, settings, clock, host) as runtime:
        if open_for_business:
            await offer_plan_and_host(runtime, host)
        transport = httpx.ASGITransport(app=create_app(runtime), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            yield House(runtime, client, host, storage)


@asynccontextmanager
async def running_runtime(
    storage: Storage, settings: Settings, clock: Clock, host: SimulatedHost
) -> AsyncIterator[Runtime]:
    """Give the runtime of a process over a storage, which drives a host that is played."""
    store, read_models = storage.store, storage.read_models
    sealer = AccountSealer(MasterKey(bytes(range(32))), storage.keys)
    ids = TimeOrderedIds()
    aggregates = AggregateRepository(store, sealer, clock, ids, store, storage.blobs)
    worker = WorkerContext(
        store=store,
        aggregates=aggregates,
        sealer=sealer,
        clock=clock,
        hypervisors={host.host_id: SimulatedHypervisor(host)},
        shell=SimulatedGuestShell([host]),
        service_key=SERVICE_KEY,
        leases=storage.leases(uuid4()),
        work=storage.work,
        blobs=storage.blobs,
        settle=partial(settle_account, aggregates),
    )
    stripe = _stripe(clock)
    payments = _cash_desk(worker, ids, stripe, storage)
    rate_counters = PostgresRateCounters(storage.database_url)
    yield Runtime(
        settings=settings,
        store=store,
        sealer=sealer,
        aggregates=aggregates,
        clock=clock,
        ids=ids,
        passwords=Argon2Passwords(memory_kib=8),
        sessions=JwtSessions({"1": JWT_KEY}, "1"),
        token_secrets=MarkedTokenSecrets(sealer.keyed_hash),
        last_uses=PostgresLastUses(storage.pool),
        metrics=PostgresGuestMetrics(storage.pool),
        captcha=DevelopmentCaptcha(),
        rate_counters=rate_counters,
        worker=worker,
        settle_due=partial(settle_due, aggregates, TabledDueAccounts(read_models), clock),
        sweep_claims=store.sweep_claims,
        vps_list=VpsList(read_models, store, sealer),
        statements=StatementSource(read_models, store, sealer),
        read_models=read_models,
        database_url=storage.database_url,
        alert_work=TabledAlertWork(read_models),
        closings=TabledOpenClosings(read_models),
        mailer=None,
        refund_all=partial(request_refund_of_all, payments),
        payments=payments,
        stand_in=StandIn(STAND_IN_PREFIX, stripe, stripe.start),
    )
    await rate_counters.close()
    await payments.gateway.close()  # type: ignore[attr-defined]


def _stripe(clock: Clock) -> StripeStandIn:
    return StripeStandIn(
        IN_MEMORY, public_url=f"{ADDRESS}{STAND_IN_PREFIX}", clock=lambda: clock.now() // MICROSECONDS_PER_SECOND
    )


def _cash_desk(worker: WorkerContext, ids: Ids, stripe: StripeStandIn, storage: Storage) -> PaymentsContext:
    gateway = StripeGateway(
        "sk_test_house",
        [stripe.webhook_secret],
        public_url=ADDRESS,
        api_base=stripe.public_url,
        transport=httpx.ASGITransport(app=stripe),
    )
    return PaymentsContext(
        store=worker.store,
        aggregates=worker.aggregates,
        clock=worker.clock,
        ids=ids,
        gateway=gateway,
        leases=worker.leases,
        open_payments=TabledPayments(storage.read_models, storage.store),
    )


async def offer_plan_and_host(runtime: Runtime, host: SimulatedHost) -> None:
    """Offer the plan Nano and a host."""
    nano = DefinePlan(PlanId(runtime.ids.new()), "Nano", 1, 512, 10, MicroUsd(4200))
    await runtime.aggregates.execute(
        [PRICES],
        lambda loaded, now: recorded_in(PRICING_STREAM, *define_plan(loaded.of(PRICES), nano, now)),
        CommandContext(actor=Actor("service", part="test")),
    )
    await offer_host(runtime, host.host_id, host.ssh_host)


async def offer_host(runtime: Runtime, host_id: HostId = ELSEWHERE, ssh_host: str = "127.0.0.1") -> None:
    """Offer a host with room for all; by itself, one that another process drives."""
    registered = HostRegistered(
        host_id=host_id, name="played", ssh_host=ssh_host, port_from=22000, port_to=22999, memory_mb=None
    )
    await ensure_registered(runtime.worker, registered)
