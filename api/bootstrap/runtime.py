"""Bootstrap, where every adapter is known: settings go in, what they are made of comes out."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from adapters.clock import SystemClock
from adapters.embedded_postgres.postmaster import StopFailed
from adapters.embedded_postgres.server import EmbeddedPostgres, StartFailed
from adapters.embedded_postgres.unprivileged import CommandFailed, FolderUnreachable
from adapters.guest_image.root_folder import ImageNotBuilt
from adapters.ids import TimeOrderedIds
from adapters.libvirt_host.host import HostNotStarted
from adapters.passwords import Argon2Passwords
from adapters.postgres.blobs import PostgresBlobs
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from adapters.postgres.guest_metrics import PostgresGuestMetrics
from adapters.postgres.last_uses import PostgresLastUses
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.leftovers import PostgresLeftovers
from adapters.postgres.migrate import SERVICE_ROLE, MigrationRefused, migrate
from adapters.postgres.rate_counters import PostgresRateCounters
from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.key_watch import KeyWatch
from adapters.sealing.master_key import BadMasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.sealing.secret_tables import PostgresSecretTable
from adapters.sealing.wrapping import WrongMasterKey
from adapters.ssh.keys import ensure_service_key
from adapters.token_secrets import MarkedTokenSecrets
from adapters.turnstile import TEST_SECRET_PASSES, TEST_SECRETS, DevelopmentCaptcha, TurnstileCaptcha
from api.application.audit.verify import EventReader
from api.application.ledger_identity import ensure_founded
from api.application.metering import PAUSE_MAX_S, settle_account, settle_due
from api.application.payments.refunding import request_refund_of_all
from api.application.queues import Backoffs
from api.application.repository import AggregateRepository
from api.application.runtime import Runtime
from api.application.settings import Settings
from api.application.statements.source import StatementSource
from api.application.vps_queries import VpsList
from api.application.worker_context import WorkerContext
from api.bootstrap.hosts import (
    OnProgress,
    close_compute,
    made_folder,
    opened_compute,
    register_hosts,
    register_remote_hosts,
)
from api.bootstrap.keys import key_ring, let_go, look_for_signing_keys, opened_sessions
from api.bootstrap.mail import mail_folder, mailer_of
from api.bootstrap.payments import opened_payments
from domain.accounts.ports import Captcha
from domain.compute.ports import NetworkUnavailable
from domain.evidence import EvidenceSource
from domain.ports import Clock, Ids
from projections.alerts import TabledAlertWork
from projections.catalogue import READ_MODELS
from projections.closings import TabledOpenClosings
from projections.compute_work import TabledWork
from projections.generation import install
from projections.meters import TabledDueAccounts
from projections.reading import ReadModels

CONNECTIONS_MAX = 8
"""Of the pool for sealing keys, leases and last uses; the store and the read models have their own."""
BLOB_CONNECTIONS_MAX = 4
"""Of the pool for blobs: a megabyte that is written or read keeps nobody waiting who only wants a key."""
_HOSTS_LOCK = "hosts.lock"
CANNOT_START = (
    BadMasterKey,
    CommandFailed,
    FolderUnreachable,
    HostNotStarted,
    ImageNotBuilt,
    MigrationRefused,
    NetworkUnavailable,
    StartFailed,
    StopFailed,
    WrongMasterKey,
)
"""Why nothing can be started here; each tells in its own words what helps."""


class Database(msgspec.Struct, frozen=True):
    """Where the ledger is."""

    service_url: str
    """Of the role that the service works as."""
    owner_url: str | None
    """Of the role that owns the tables; None where this process is not trusted with it."""
    ensure_running: Callable[[], bool] | None = None
    """Starts the embedded server again if it is gone, and returns whether it was; blocks. None where it is not ours."""


@asynccontextmanager
async def opened_database(settings: Settings, on_progress: OnProgress) -> AsyncIterator[Database]:
    """Give the database that is set, or the embedded one, running; the last to leave stops that one."""
    if settings.database_url is not None:
        yield Database(settings.database_url, settings.migration_url)
        return
    folder = made_folder(settings.home_folder)
    # Held in common by all who use the server, alone by whoever stops it.
    with (folder / "postgres.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        server = EmbeddedPostgres(folder / "postgres")
        if not server.is_running():
            on_progress("starting PostgreSQL")
        await asyncio.to_thread(server.start)
        try:
            yield Database(server.service_url, server.owner_url, server.ensure_running)
        finally:
            if _may_have_alone(lock.fileno()):
                await asyncio.to_thread(server.stop)


@contextmanager
def hosts_taken(home: Path) -> Iterator[bool]:
    """Keep services off the hosts of a home that is there; gives whether one drives them already."""
    with (home / _HOSTS_LOCK).open("w") as lock:
        yield not _may_have_alone(lock.fileno())


def migrate_database(database: Database) -> tuple[list[str], list[str]]:
    """Bring the tables to the newest form, as far as this process may; blocks.

    Returns which migrations were applied, and which read models have to be rebuilt for want of tables that fit.
    """
    if database.owner_url is None:
        return [], []
    parts = conninfo_to_dict(database.service_url)
    password = parts.get("password") if parts.get("user") == SERVICE_ROLE else None
    applied = migrate(database.owner_url, None if password is None else str(password))
    return applied, install(database.owner_url, READ_MODELS)


@asynccontextmanager
async def opened_event_reader(database: Database) -> AsyncIterator[EventReader]:
    """Give all that was ever recorded, for audits and for folding it anew."""
    async with PostgresEventStore(database.service_url) as store:
        yield store


def evidence_of(database: Database) -> EvidenceSource:
    """Return where an audit finds what the database keeps beside the events."""
    return PostgresEvidence(database.service_url)


@asynccontextmanager
async def opened_runtime(
    settings: Settings, database: Database, *, with_hosts: bool, on_progress: OnProgress
) -> AsyncIterator[Runtime]:
    """Give everything that a way in needs, on a database that is migrated; ``with_hosts``: and drive guests."""
    made_folder(settings.home_folder)
    clock, ids = SystemClock(), TimeOrderedIds()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresEventStore(database.service_url))
        pool = await stack.enter_async_context(_pool(database.service_url, "work", CONNECTIONS_MAX))
        blob_pool = await stack.enter_async_context(_pool(database.service_url, "blobs", BLOB_CONNECTIONS_MAX))
        secrets = PostgresSecretTable(pool)
        sealer = AccountSealer(key_ring(settings), PostgresKeyTable(pool), secrets)
        await sealer.check_master_key()
        sessions = await opened_sessions(sealer, secrets)
        blobs = PostgresBlobs(blob_pool)
        aggregates = AggregateRepository(store, sealer, clock, ids, store, blobs)
        poll = partial(look_for_signing_keys, sessions, sealer, secrets)
        await _closed_by(stack, KeyWatch(database.service_url, partial(let_go, sealer, aggregates), poll)).open()
        read_models = _closed_by(stack, ReadModels(database.service_url))
        await read_models.open()
        dependencies = _Dependencies(store, aggregates, sealer, clock, ids, pool, blobs, read_models)
        worker, register = await _opened_worker_context(
            stack, settings, dependencies, with_hosts=with_hosts, on_progress=on_progress
        )
        payments = await stack.enter_async_context(opened_payments(settings, worker, ids, read_models))
        yield Runtime(
            settings=settings,
            store=store,
            sealer=sealer,
            aggregates=aggregates,
            clock=clock,
            ids=ids,
            passwords=stack.enter_context(closing(Argon2Passwords())),
            sessions=sessions,
            token_secrets=MarkedTokenSecrets(sealer.keyed_hash),
            last_uses=PostgresLastUses(pool),
            metrics=PostgresGuestMetrics(pool),
            captcha=_closed_by(stack, _captcha(settings)),
            rate_counters=_closed_by(stack, PostgresRateCounters(database.service_url)),
            worker=worker,
            settle_due=partial(
                settle_due, aggregates, TabledDueAccounts(read_models), clock, Backoffs(clock, PAUSE_MAX_S)
            ),
            register_hosts=register,
            sweep_claims=store.sweep_claims,
            vps_list=VpsList(read_models, store, sealer),
            statements=StatementSource(read_models, store, sealer),
            read_models=read_models,
            database_url=database.service_url,
            alert_work=TabledAlertWork(read_models),
            closings=TabledOpenClosings(read_models),
            leftovers=(PostgresLeftovers(pool), mail_folder(settings, clock)),
            mailer=mailer_of(settings, clock),
            refund_all=partial(request_refund_of_all, payments.payments) if payments.can_ask else None,
            payments=payments.payments,
            stand_in=payments.stand_in,
        )


class _Dependencies(msgspec.Struct, frozen=True, eq=False):
    """What everything else stands on."""

    store: PostgresEventStore
    aggregates: AggregateRepository
    sealer: AccountSealer
    clock: Clock
    ids: Ids
    pool: AsyncConnectionPool[Any]
    blobs: PostgresBlobs
    read_models: ReadModels


async def _opened_worker_context(
    stack: AsyncExitStack, settings: Settings, dependencies: _Dependencies, *, with_hosts: bool, on_progress: OnProgress
) -> tuple[WorkerContext, Callable[[], Awaitable[object]] | None]:
    home = settings.home_folder
    private_key, public_key = ensure_service_key(home / "ssh")
    ledger_id = await ensure_founded(dependencies.aggregates, dependencies.ids) if with_hosts else None
    await stack.enter_async_context(_driving(home if with_hosts else None))
    compute = await opened_compute(
        settings, dependencies.clock, private_key, ledger_id=ledger_id, on_progress=on_progress
    )
    stack.push_async_callback(close_compute, compute)
    worker = WorkerContext(
        store=dependencies.store,
        aggregates=dependencies.aggregates,
        sealer=dependencies.sealer,
        clock=dependencies.clock,
        hypervisors=compute.hypervisors,
        shell=compute.shell,
        service_key=public_key,
        leases=PostgresLeases(dependencies.pool, dependencies.ids.new()),
        work=TabledWork(dependencies.read_models),
        blobs=dependencies.blobs,
        settle=partial(settle_account, dependencies.aggregates),
    )
    await register_hosts(worker, compute)
    return worker, partial(register_remote_hosts, worker, compute) if compute.remote else None


@asynccontextmanager
async def _driving(home: Path | None) -> AsyncIterator[None]:
    if home is None:
        yield
        return
    # Held in common by all who drive the hosts of a home, alone by whoever ends the embedded one.
    with (home / _HOSTS_LOCK).open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        yield


class _Closable(Protocol):
    def close(self) -> Awaitable[None]: ...


_Thing = TypeVar("_Thing", bound=_Closable)


def _closed_by(stack: AsyncExitStack, thing: _Thing) -> _Thing:
    stack.push_async_callback(thing.close)
    return thing


def _pool(url: str, name: str, connections_max: int) -> AsyncConnectionPool[Any]:
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=connections_max,
        open=False,
        kwargs={"autocommit": True, "application_name": f"litevps {name}"},
    )


def _captcha(settings: Settings) -> Captcha:
    secret = settings.turnstile_secret or (TEST_SECRET_PASSES if settings.development else "")
    if settings.development and secret in TEST_SECRETS:
        return DevelopmentCaptcha(secret)
    return TurnstileCaptcha(secret, settings.turnstile_url)


def _may_have_alone(lock: int) -> bool:
    fcntl.flock(lock, fcntl.LOCK_UN)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
