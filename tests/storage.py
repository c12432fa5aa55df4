"""Storage for tests: what a process of the service keeps in PostgreSQL, and the read models that production asks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.blobs import PostgresBlobs
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLeases
from adapters.sealing.key_tables import PostgresKeyTable
from adapters.simulated.clock import ManualClock
from domain.compute.work import Leases, OpenWork
from domain.ports import Clock
from projections.catalogue import READ_MODELS
from projections.compute_work import TabledWork
from projections.generation import SCHEMA
from projections.packed import take_packed
from projections.read_model import ReadModel
from projections.reading import CAUGHT_UP_TIMEOUT_S, Progress, ReadModels
from projections.runner import Feed, Folding
from tests.databases import CLOCK_SCHEMA, Databases

_CONNECTIONS_MAX = 8


class ReadModelsOnDemand(ReadModels):
    """The read models, brought up with the feed by whoever asks; without that nothing runs and nobody waits."""

    def __init__(self, database_url: str, feed: Feed) -> None:
        super().__init__(database_url, connections_max=_CONNECTIONS_MAX, schema=f"{CLOCK_SCHEMA}, pg_catalog, {SCHEMA}")
        self._feed = feed
        self._is_open = self._is_closed = False
        self._folds = asyncio.Lock()

    async def open(self) -> None:
        """Do nothing: whoever asks first connects, and most tests never do."""

    async def close(self) -> None:
        """Let go of all connections, once what is being folded is."""
        async with self._folds:
            self._is_closed = True
            if self._is_open:
                await super().close()

    async def caught_up(self, position: int, *read_models: ReadModel, timeout_s: float = CAUGHT_UP_TIMEOUT_S) -> None:
        """Fold everything there is; see ``ReadModels.caught_up``."""
        await self._brought_up()
        await super().caught_up(position, *read_models, timeout_s=timeout_s)

    async def progress(self) -> list[Progress]:
        """Fold everything there is; see ``ReadModels.progress``."""
        await self._brought_up()
        return await super().progress()

    async def _brought_up(self) -> None:
        # Whoever asked may be cancelled: a batch is folded to its end all the same.
        await asyncio.shield(asyncio.ensure_future(self._fold()))

    async def _fold(self) -> None:
        async with self._folds:
            if self._is_closed:
                return  # Whoever asked is gone as well.
            if not self._is_open:
                await super().open()
                self._is_open = True
            async with self._lent() as connection:
                take_packed(connection)
                folding = Folding(connection, self._feed, READ_MODELS)
                await folding.find_positions()
                while await folding.advance():
                    pass
            self.moved(folding.positions)


class Storage(msgspec.Struct, frozen=True, eq=False):
    """What outlives every process of a service, as one of them has opened it."""

    database_url: str
    store: PostgresEventStore
    pool: AsyncConnectionPool[Any]
    read_models: ReadModelsOnDemand

    @property
    def keys(self) -> PostgresKeyTable:
        """Where sealing keys are kept."""
        return PostgresKeyTable(self.pool)

    @property
    def blobs(self) -> PostgresBlobs:
        """Where texts are kept beside events."""
        return PostgresBlobs(self.pool)

    @property
    def work(self) -> OpenWork:
        """What is to be done for VPSs and jobs."""
        return TabledWork(self.read_models)

    def leases(self, holder: UUID) -> Leases:
        """Return the leases of one process."""
        return PostgresLeases(self.pool, holder)


MakeStore = Callable[[str], PostgresEventStore]


@asynccontextmanager
async def opened_storage(
    databases: Databases, clock: Clock, make_store: MakeStore = PostgresEventStore
) -> AsyncIterator[Storage]:
    """Give a storage with a fresh database of its own, in which it is as late as a clock says that is moved by hand."""
    with databases.clocked(clock) if isinstance(clock, ManualClock) else databases.migrated() as name:
        async with another_storage(databases.server.url(SERVICE_ROLE, name), make_store) as storage:
            yield storage


@asynccontextmanager
async def another_storage(database_url: str, make_store: MakeStore = PostgresEventStore) -> AsyncIterator[Storage]:
    """Give the storage of one more process over a database."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_store(database_url))
        pool = await stack.enter_async_context(
            AsyncConnectionPool(
                database_url, min_size=1, max_size=_CONNECTIONS_MAX, open=False, kwargs={"autocommit": True}
            )
        )
        read_models = ReadModelsOnDemand(database_url, store)
        stack.push_async_callback(read_models.close)
        await read_models.open()
        yield Storage(database_url, store, pool, read_models)


OpenStorage = Callable[..., Awaitable[Storage]]
"""``await open_storage(clock, make_store=...)``: a storage that is closed after the test."""


@pytest.fixture
async def open_storage(databases: Databases) -> AsyncIterator[OpenStorage]:
    """Give what opens storages for this test, each with a fresh database."""
    async with AsyncExitStack() as stack:

        async def opened(clock: Clock, make_store: MakeStore = PostgresEventStore) -> Storage:
            return await stack.enter_async_context(opened_storage(databases, clock, make_store))

        yield opened
