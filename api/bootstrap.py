"""Bootstrap: the only module that knows every adapter; settings go in, what they are made of comes out."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool

from adapters.clock import SystemClock
from adapters.embedded_postgres.postmaster import StopFailed
from adapters.embedded_postgres.server import EmbeddedPostgres, StartFailed
from adapters.embedded_postgres.unprivileged import CommandFailed, FolderUnreachable
from adapters.guest_image.builder import ensure_built
from adapters.guest_image.root_folder import ImageNotBuilt
from adapters.ids import TimeOrderedIds
from adapters.jwt import JwtSessions
from adapters.libvirt.folders import HostFolders
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost, HostNotStarted
from adapters.libvirt_host.kvm_probe import KvmVerdict, probe_kvm
from adapters.passwords import Argon2Passwords
from adapters.postgres.blobs import PostgresJobOutputs
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.migrate import SERVICE_ROLE, MigrationRefused, migrate
from adapters.postgres.rate_counters import PostgresRateCounters
from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.master_key import BadMasterKey, MasterKey, parse_master_key, read_or_make_master_key
from adapters.sealing.sealer import AccountSealer, WrongMasterKey
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.ssh.guest_shell import SshGuestShell
from adapters.ssh.keys import ensure_service_key
from adapters.turnstile import TEST_SECRET_PASSES, TEST_SECRETS, DevelopmentCaptcha, TurnstileCaptcha
from api.audit.verify import Archive
from api.ledger import Ledger
from api.metering import settle_account, settle_due
from api.reconciler import ensure_registered
from api.runtime import Runtime
from api.settings import Settings
from api.steps.workshop import Workshop
from api.vps_lists import ProjectedVpsList
from domain.accounts.ports import Captcha
from domain.compute.events import HostRegistered
from domain.compute.ports import GuestShell, HostObservation, Hypervisor, HypervisorUnavailable
from domain.evidence import EvidenceSource
from domain.ids import HostId
from domain.ports import Clock
from projections.catalogue import READ_MODELS
from projections.compute_work import TabledWork
from projections.generation import install
from projections.meters import TabledDueAccounts
from projections.reading import ReadModels

CONNECTIONS_MAX = 8
"""Of the pool for sealing keys, leases and kept output; the store and the read models have their own."""
SSH_PORT_FROM, SSH_PORT_TO = 22_000, 22_999
SIMULATED_BOOT_S = 1.0
EMBEDDED, SIMULATED = "embedded", "simulated"
_HOSTS = UUID("6c697465-7670-5000-8000-00000000686f")

CANNOT_START = (
    BadMasterKey,
    CommandFailed,
    FolderUnreachable,
    HostNotStarted,
    ImageNotBuilt,
    MigrationRefused,
    StartFailed,
    StopFailed,
    WrongMasterKey,
)
"""Why nothing can be started here; each tells in its own words what helps."""

Say = Callable[[str], None]
"""Tells a person what is being done."""


class Database(msgspec.Struct, frozen=True):
    """Where the ledger is."""

    service_url: str
    """Of the role that the service works as."""
    owner_url: str | None
    """Of the role that owns the tables; None where this process is not trusted with it."""


class Compute(msgspec.Struct, frozen=True, eq=False):
    """The hosts that this process drives, and the way into their guests."""

    hypervisors: Mapping[HostId, Hypervisor]
    shell: GuestShell
    memory_mb: int | None


@asynccontextmanager
async def opened_database(settings: Settings, say: Say) -> AsyncIterator[Database]:
    """Give the database that is set, or the embedded one, running; the last to leave stops that one."""
    if settings.database_url is not None:
        yield Database(settings.database_url, settings.migration_url)
        return
    folder = _made_folder(settings.home_folder)
    # Held in common by all who use the server, alone by whoever stops it.
    with (folder / "postgres.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        server = EmbeddedPostgres(folder / "postgres")
        say("starting PostgreSQL")
        await asyncio.to_thread(server.start)
        try:
            yield Database(server.service_url, server.owner_url)
        finally:
            if _may_have_alone(lock.fileno()):
                await asyncio.to_thread(server.stop)


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
async def opened_archive(database: Database) -> AsyncIterator[Archive]:
    """Give all that was ever recorded, for audits and for folding it anew."""
    async with PostgresEventStore(database.service_url) as store:
        yield store


def evidence_of(database: Database) -> EvidenceSource:
    """Return where an audit finds what the database keeps beside the events."""
    return PostgresEvidence(database.service_url)


@asynccontextmanager
async def opened_runtime(
    settings: Settings, database: Database, *, with_hosts: bool, say: Say
) -> AsyncIterator[Runtime]:
    """Give everything that a way in needs, on a database that is migrated; ``with_hosts``: and drive guests."""
    home = _made_folder(settings.home_folder)
    clock, ids = SystemClock(), TimeOrderedIds()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresEventStore(database.service_url))
        pool = await stack.enter_async_context(_pool(database.service_url))
        sealer = AccountSealer(_master_key(settings), PostgresKeyTable(pool))
        await sealer.check_master_key()
        ledger = Ledger(store, sealer, clock, ids, store)
        read_models = ReadModels(database.service_url)
        await read_models.open()
        stack.push_async_callback(read_models.close)
        counters = PostgresRateCounters(database.service_url)
        stack.push_async_callback(counters.close)
        captcha = _captcha(settings)
        stack.push_async_callback(captcha.close)
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        private_key, public_key = ensure_service_key(home / "ssh")
        compute = await _compute(settings, clock, private_key, with_hosts=with_hosts, say=say)
        stack.push_async_callback(_close_compute, compute)
        workshop = Workshop(
            store=store,
            ledger=ledger,
            sealer=sealer,
            clock=clock,
            hypervisors=compute.hypervisors,
            shell=compute.shell,
            service_key=public_key,
            leases=PostgresLeases(pool, ids.new()),
            work=TabledWork(read_models),
            job_outputs=PostgresJobOutputs(pool),
            settle=partial(settle_account, ledger),
        )
        await _register_hosts(workshop, compute)
        yield Runtime(
            settings=settings,
            store=store,
            sealer=sealer,
            ledger=ledger,
            clock=clock,
            ids=ids,
            passwords=passwords,
            sessions=JwtSessions({"1": sealer.derive("jwt")}, "1"),
            captcha=captcha,
            rate_counters=counters,
            workshop=workshop,
            settle_due=partial(settle_due, ledger, TabledDueAccounts(read_models), clock),
            vps_list=ProjectedVpsList(read_models, store, sealer),
            read_models=read_models,
            database_url=database.service_url,
        )


def embedded_host(settings: Settings, verdict: KvmVerdict | None, say: Say) -> EmbeddedHost:
    """Return the embedded host of a home folder, started or not."""
    home = settings.home_folder
    usable = verdict is not None and verdict.usable
    return EmbeddedHost(home / "host", images=home / "images", kvm=usable, say=say)


async def observe_embedded_host(settings: Settings) -> HostObservation | None:
    """Return what the embedded host shows; None where it does not run. It is not started for this."""
    embedded = embedded_host(settings, None, lambda _: None)
    if not embedded.socket.exists():
        return None
    hypervisor = LibvirtHypervisor(
        host_id=_host_id(settings, EMBEDDED),
        uri=embedded.uri,
        folders=_folders_of(embedded),
        images={},
        accelerated=False,
        clock=SystemClock(),
    )
    try:
        return await hypervisor.observe()
    except HypervisorUnavailable:
        return None
    finally:
        await hypervisor.close()


def _folders_of(embedded: EmbeddedHost) -> HostFolders:
    inside = (embedded.guests_inside, embedded.images_inside)
    return HostFolders(embedded.guests, embedded.images, *inside, embedded.guest_logs)


async def _compute(settings: Settings, clock: Clock, private_key: str, *, with_hosts: bool, say: Say) -> Compute:
    if settings.compute == SIMULATED:
        host = SimulatedHost(_host_id(settings, SIMULATED), clock, boot_s=SIMULATED_BOOT_S)
        hypervisors = {host.host_id: SimulatedHypervisor(host)} if with_hosts else {}
        return Compute(hypervisors, SimulatedGuestShell([host]), None)
    shell = SshGuestShell(private_key)
    if not with_hosts:
        return Compute({}, shell, None)
    return Compute(await asyncio.to_thread(_driven_hosts, settings, clock, say), shell, _memory_mb())


def _driven_hosts(settings: Settings, clock: Clock, say: Say) -> dict[HostId, Hypervisor]:
    """Have the guest image built and the hosts running; blocks."""
    home = settings.home_folder
    _made_folder(home / "images").chmod(0o755)
    image = ensure_built(home / "images", say=say)
    verdict = probe_kvm(image.kernel, image.initrd, cache=home / "kvm.json")
    say(f"guests run by {'KVM' if verdict.usable else 'TCG'}: {verdict.reason}")
    hosts: dict[HostId, Hypervisor] = {}
    for uri in filter(None, map(str.strip, settings.compute.split(","))):
        host_id = _host_id(settings, uri)
        revive: Callable[[], object] | None = None
        if uri == EMBEDDED:
            embedded = embedded_host(settings, verdict, say)
            address, revive = embedded.ensure_started(), embedded.ensure_started
            folders = _folders_of(embedded)
        else:
            guests = _made_folder(home / "guests" / str(host_id))
            address, folders = uri, HostFolders(guests, home / "images", guests, home / "images")
        hosts[host_id] = LibvirtHypervisor(
            host_id=host_id,
            uri=address,
            folders=folders,
            images={image.name: image.key},
            accelerated=verdict.usable,
            clock=clock,
            revive=revive,
        )
    return hosts


async def _register_hosts(workshop: Workshop, compute: Compute) -> None:
    for number, hypervisor in enumerate(compute.hypervisors.values(), 1):
        await ensure_registered(
            workshop,
            HostRegistered(
                host_id=hypervisor.host_id,
                name=f"host-{number}",
                ssh_host=hypervisor.ssh_host,
                port_from=SSH_PORT_FROM,
                port_to=SSH_PORT_TO,
                memory_mb=compute.memory_mb,
            ),
        )


async def _close_compute(compute: Compute) -> None:
    await compute.shell.close()
    await asyncio.gather(*(hypervisor.close() for hypervisor in compute.hypervisors.values()))


def _pool(url: str) -> AsyncConnectionPool[Any]:
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=CONNECTIONS_MAX,
        open=False,
        kwargs={"autocommit": True, "application_name": "litevps work"},
    )


def _captcha(settings: Settings) -> Captcha:
    secret = settings.turnstile_secret or (TEST_SECRET_PASSES if settings.development else "")
    if settings.development and secret in TEST_SECRETS:
        return DevelopmentCaptcha(secret)
    return TurnstileCaptcha(secret, settings.turnstile_url)


def _master_key(settings: Settings) -> MasterKey:
    if settings.master_key is not None:
        return parse_master_key(settings.master_key)
    return read_or_make_master_key(settings.home_folder / "master.key")


def _host_id(settings: Settings, uri: str) -> HostId:
    # The same at every start, and another one for another home.
    return HostId(uuid5(_HOSTS, f"{settings.home_folder}:{uri}"))


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)


def _made_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    return folder


def _may_have_alone(lock: int) -> bool:
    fcntl.flock(lock, fcntl.LOCK_UN)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
