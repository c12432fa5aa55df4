"""Connections lent by a pool, whose loss is told in the words of the ports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.ports import StoreUnavailable


@asynccontextmanager
async def lent(pool: AsyncConnectionPool[Any]) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Lend a connection. Raises StoreUnavailable where there is none, or it is lost meanwhile."""
    try:
        async with pool.connection() as connection:
            yield connection
    except psycopg.OperationalError as away:
        raise StoreUnavailable(str(away)) from away
