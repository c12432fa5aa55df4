"""A connection of a pool, whose loss is told in the words of the ports, for every adapter that keeps tables."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.store_failures import store_failure


@asynccontextmanager
async def pooled_connection(pool: AsyncConnectionPool[Any]) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Give a connection for a while. Raises StoreFailed: StoreUnavailable where there is none, or it is lost."""
    lost: psycopg.AsyncConnection[Any] | None = None
    try:
        async with pool.connection() as connection:
            lost = connection
            yield connection
    except psycopg.Error as error:
        is_connected = lost is not None and not lost.closed
        failure = store_failure(error.sqlstate, str(error), is_connected=is_connected)
        if failure is None:
            raise
        raise failure from error
