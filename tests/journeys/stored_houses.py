"""Houses over PostgreSQL: processes of one service, each with read models that it keeps up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from httpx import ASGITransport, AsyncClient

from api.application.runtime import Runtime
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.http.app import create_app
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.runner import Runner
from tests.api.houses import ROOMY, House, offer_host


@asynccontextmanager
async def stored_house(database_url: str, home: Path) -> AsyncIterator[House]:
    """Make a process over a database, without a host of its own; another one drives a host."""
    settings = msgspec.structs.replace(ROOMY, home=str(home), compute="simulated")
    database = Database(database_url, None)
    async with (
        bootstrap.opened_runtime(settings, database, with_hosts=False, on_progress=lambda _: None) as runtime,
        AsyncClient(transport=ASGITransport(app=create_app(runtime)), base_url="http://litevps.test") as client,
    ):
        await offer_host(runtime)
        yield House(runtime, client, None)  # type: ignore[arg-type]


@asynccontextmanager
async def following(runtime: Runtime, database_url: str) -> AsyncIterator[None]:
    """Keep the read models up, if no other process does."""
    runner = Runner(runtime.store, database_url, READ_MODELS, schema=SCHEMA, moved=runtime.read_models.moved)
    task = asyncio.create_task(runner.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
