"""Fixtures for read models: a history in memory, folded into tables of a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.memory.event_store import MemoryEventStore
from adapters.simulated.clock import ManualClock
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.reading import ReadModels
from projections.runner import Runner
from tests.projections.history import History


@pytest.fixture
def history() -> History:
    """Return a history with nothing in it."""
    return History(MemoryEventStore(ManualClock()))


@pytest.fixture
async def read_models(database_url: str) -> AsyncIterator[ReadModels]:
    """Give the read models, with nothing that keeps them up."""
    reading = ReadModels(database_url)
    await reading.open()
    yield reading
    await reading.close()


@pytest.fixture
async def followed(history: History, read_models: ReadModels, database_url: str) -> AsyncIterator[ReadModels]:
    """Give the read models, kept up with the history."""
    async with running(Runner(history.store, database_url, READ_MODELS, schema=SCHEMA, moved=read_models.moved)):
        yield read_models


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator[None]:
    """Have a runner run meanwhile."""
    task = asyncio.create_task(runner.run())
    yield
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
