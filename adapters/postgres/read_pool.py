"""The read pool: connections for statements that may be repeated, so a lost connection costs only time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg.pq.abc import PGresult

from adapters.postgres.errors import is_in_the_way, port_error_of
from adapters.postgres.prepared import ConnectionLost, Parameter, PreparedConnection, PreparedQuery
from domain.ports import StoreUnavailable

CONNECTIONS_MAX = 4
OUTAGE_MAX_S = 15.0
"""How long a lost database is tried again before the caller is told."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.02, 0.3
"""Between two tries; doubled each time."""
IN_THE_WAY_TRIES_MAX = 5
"""How often a statement is tried that others were in the way of."""


class ReadPool:
    """Lends a connection to each statement; opens them when they are first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[PreparedConnection] = []
        self._free = asyncio.Semaphore(CONNECTIONS_MAX)
        self._closed = False

    async def run(self, query: PreparedQuery, parameters: Sequence[Parameter]) -> PGresult:
        """Run a statement that does no harm when done twice; return its rows in binary.

        Raises StoreUnavailable where it is away, StoreUnable or TooLargeToStore where it answers that it cannot, or
        another psycopg.Error: a mistake of ours.
        """
        async with self._free:
            loop = asyncio.get_running_loop()
            gives_up_at = loop.time() + OUTAGE_MAX_S
            pause_s = PAUSE_MIN_S
            tries = 0
            while True:
                tries += 1
                if self._closed:
                    raise StoreUnavailable("the store is closed")
                try:
                    return await self._try(query, parameters)
                except ConnectionLost as lost:
                    if loop.time() > gives_up_at:
                        raise StoreUnavailable(str(lost)) from lost
                except psycopg.Error as error:
                    failure = port_error_of(error)
                    is_away = isinstance(failure, StoreUnavailable) and loop.time() <= gives_up_at
                    # Of anything else, such as no memory or no time, asking at once would only bring more.
                    if not is_away and not (is_in_the_way(error) and tries < IN_THE_WAY_TRIES_MAX):
                        if failure is error:
                            raise
                        raise failure from error
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def close(self) -> None:
        """End all connections."""
        self._closed = True
        while self._idle:
            await _close(self._idle.pop())

    async def _try(self, query: PreparedQuery, parameters: Sequence[Parameter]) -> PGresult:
        connection = await self._lend()
        try:
            return await connection.run(query, parameters)
        finally:
            if connection.usable and not self._closed:
                self._idle.append(connection)
            else:
                await _close(connection)

    async def _lend(self) -> PreparedConnection:
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
            await _close(connection)  # Lost while it was idle.
        try:
            return await PreparedConnection.open(self._url)
        except psycopg.OperationalError as away:
            raise ConnectionLost(str(away)) from away


async def _close(connection: PreparedConnection) -> None:
    with suppress(psycopg.Error):
        await connection.close()
