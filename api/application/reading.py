"""Reading: a connection on which read models show everything recorded so far, for any use case that asks them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.application.runtime import Runtime
from projections.read_model import Connection, ReadModel


@asynccontextmanager
async def caught_up_connection(runtime: Runtime, *read_models: ReadModel) -> AsyncIterator[Connection]:
    """Give a connection on which these read models show everything recorded so far. Raises ProjectionBehind."""
    async with runtime.read_models.at(await runtime.store.head(), *read_models) as connection:
        yield connection
