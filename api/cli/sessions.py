"""What commands work on: the database, the ledger in it, and the runtime, each opened and closed around one task."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import click
import msgspec
from psycopg.conninfo import conninfo_to_dict

from api.application.audit.verify import EventReader
from api.application.runtime import Runtime
from api.application.settings import Settings
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.cli.output import stderr
from domain.evidence import EvidenceSource
from projections.catalogue import READ_MODELS
from projections.generation import rebuild

T = TypeVar("T")


class LedgerAccess(msgspec.Struct, frozen=True, eq=False):
    """The ledger as audits and rebuilds need it."""

    store: EventReader
    evidence: EvidenceSource
    database_url: str
    """Of the role that the service works as."""
    owner_url: str | None
    """Of the role that owns the tables; None where it is not known here."""


class Migrated(msgspec.Struct, frozen=True):
    """What bringing a database to the newest form came to."""

    applied: list[str]
    rebuilt: list[str]


def run_with_runtime(settings: Settings, task: Callable[[Runtime], Awaitable[T]], *, makes_key: bool = False) -> T:
    """Do a task that records something, without driving any host; for ``makes_key`` see ``opened_runtime``."""

    async def run() -> T:
        async with opened_runtime(settings, makes_key=makes_key) as runtime:
            return await task(runtime)

    return asyncio.run(run())


def run_with_ledger(settings: Settings, task: Callable[[LedgerAccess], Awaitable[T]]) -> T:
    """Do a task over the events, as they are."""

    async def run() -> T:
        async with opened_ledger(settings) as access:
            return await task(access)

    return asyncio.run(run())


@asynccontextmanager
async def opened_runtime(settings: Settings, *, makes_key: bool = False) -> AsyncIterator[Runtime]:
    """Give what records events, on a database in the newest form.

    ``makes_key``: whether a home folder without a master key gets one. Raises ClickException where there is no
    LiteVPS.
    """
    require_ledger(settings)
    master_key_file = settings.home_folder / "master.key"
    if settings.master_key is settings.master_key_file is None and not makes_key and not master_key_file.exists():
        raise _nothing_in(settings)
    async with bootstrap.opened_database(settings, no_progress) as database:
        await migrated(database)
        async with bootstrap.opened_runtime(settings, database, with_hosts=False, on_progress=no_progress) as runtime:
            yield runtime


@asynccontextmanager
async def opened_ledger(settings: Settings) -> AsyncIterator[LedgerAccess]:
    """Give the ledger, in whatever form it is. Raises ClickException where there is none."""
    require_ledger(settings)
    async with (
        bootstrap.opened_database(settings, no_progress) as database,
        bootstrap.opened_event_reader(database) as store,
    ):
        yield LedgerAccess(store, bootstrap.evidence_of(database), database.service_url, database.owner_url)


async def migrated(database: Database) -> Migrated:
    """Bring a database to the newest form, as far as this process may, read models included."""
    applied, stale = await asyncio.to_thread(bootstrap.migrate_database, database)
    if stale and database.owner_url is not None:
        async with bootstrap.opened_event_reader(database) as store:
            await rebuild(database.owner_url, store, [model for model in READ_MODELS if model.name in stale])
    return Migrated(applied, stale)


async def migrate_database(settings: Settings) -> Migrated:
    """Bring the database of these settings to the newest form."""
    async with bootstrap.opened_database(settings, no_progress) as database:
        if database.owner_url is None:
            raise click.ClickException("LITEVPS_MIGRATION_URL is needed: the tables belong to the database's owner")
        return await migrated(database)


def place_of(settings: Settings) -> str:
    """Return where the ledger of these settings is, in words that hold no password."""
    if settings.database_url is None:
        return f"the ledger in {settings.home_folder}"
    parts = conninfo_to_dict(settings.database_url)
    return f"the database {parts.get('dbname', '')} at {parts.get('host', 'its default address')}"


def require_ledger(settings: Settings) -> None:
    """Raise ClickException where there is no LiteVPS."""
    if settings.database_url is None and not (settings.home_folder / "postgres").exists():
        raise _nothing_in(settings)


def _nothing_in(settings: Settings) -> click.ClickException:
    home = settings.home_folder
    return click.ClickException(f"there is no LiteVPS in {home}: give the --home of one, or run litevps serve first")


def print_progress(text: str) -> None:
    """Tell a person what is being done."""
    stderr().print(text, style="dim")


def no_progress(_text: str) -> None:
    """Tell nobody: what is being done is not what was asked for."""
