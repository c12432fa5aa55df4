"""Connections lent by a pool, whose loss is told in the words of the ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.errors import told


@asynccontextmanager
async def lent(pool: AsyncConnectionPool[Any]) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Lend a connection. Raises StoreFailed: StoreUnavailable where there is none, or it is lost meanwhile."""
    lost: psycopg.AsyncConnection[Any] | None = None
    try:
        async with pool.connection() as connection:
            lost = connection
            yield connection
    except psycopg.Error as error:
        failure = told(error, is_connected=lost is not None and not lost.closed)
        if failure is error:
            raise
        raise failure from error
