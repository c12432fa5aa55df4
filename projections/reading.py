"""Reading: connections to the read models that show everything up to a position."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.errors import Refusal
from domain.store_failures import store_failure
from projections.generation import SCHEMA
from projections.read_model import Connection, ReadModel

CAUGHT_UP_TIMEOUT_S = 2.0
POLL_S_MIN = 0.002
POLL_S_MAX = 0.05
_POSITIONS = "SELECT name, position, failed_at, failure FROM projection ORDER BY name"


class ProjectionBehind(Refusal):
    """What is asked for has not been folded in yet; it is worth asking again in a moment."""

    code = "projection_behind"
    sentence = "projection behind"


class Progress(msgspec.Struct, frozen=True):
    """How far a read model is."""

    name: str
    position: int
    failed_at: int | None
    """The position of the event that it could not fold; it stays before it until it is rebuilt."""
    failure: str | None


class ReadModels:
    """The read models as the ways in see them. Open it before use, close it after.

    What reads raises StoreFailed where the database is away or fails meanwhile.
    """

    def __init__(self, database_url: str, *, connections_max: int = 4, schema: str = SCHEMA) -> None:
        self._schema = schema
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=connections_max,
            open=False,
            configure=self._configure,
            kwargs={"autocommit": True, "application_name": "litevps reads"},
        )
        self._positions: Mapping[str, int] = {}
        self._moved = asyncio.Event()

    async def open(self) -> None:
        """Connect to the database."""
        await self._pool.open(wait=True)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._pool.close()

    def moved(self, positions: Mapping[str, int]) -> None:
        """Take note of how far this process's own runner has come, which saves asking the database."""
        self._positions = dict(positions)
        self._moved.set()
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def at(self, position: int, *read_models: ReadModel) -> AsyncIterator[Connection]:
        """Give a connection on which these read models show everything up to a position.

        Raises ProjectionBehind if they do not get there within ``CAUGHT_UP_TIMEOUT_S``.
        """
        await self.caught_up(position, *read_models)
        async with self._lent() as connection:
            yield connection

    async def caught_up(self, position: int, *read_models: ReadModel, timeout_s: float = CAUGHT_UP_TIMEOUT_S) -> None:
        """Wait until these read models have folded everything up to a position; else ProjectionBehind."""
        names = {model.name for model in read_models}
        deadline = time.monotonic() + timeout_s
        poll_s = POLL_S_MIN
        while not _all_past(self._positions, names, position):
            moved = self._moved
            reached = {one.name: one.position for one in await self.progress()}
            if _all_past(reached, names, position):
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise ProjectionBehind(position=position)
            try:
                await asyncio.wait_for(moved.wait(), min(poll_s, left_s))
            except TimeoutError:
                poll_s = min(poll_s * 2, POLL_S_MAX)

    async def progress(self) -> list[Progress]:
        """Return how far each read model is, and which have stopped at an event."""
        async with self._lent() as connection:
            cursor = await connection.execute(_POSITIONS)
            return [Progress(*row) for row in await cursor.fetchall()]

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Connection]:
        lost: Connection | None = None
        try:
            async with self._pool.connection() as connection:
                lost = connection
                yield connection
        except psycopg.Error as error:
            is_connected = lost is not None and not lost.closed
            failure = store_failure(error.sqlstate, str(error), is_connected=is_connected)
            if failure is None:
                raise
            raise failure from error

    async def _configure(self, connection: Connection) -> None:
        await connection.execute("SELECT set_config('search_path', %s, false)", [self._schema])


def _all_past(positions: Mapping[str, int], names: Collection[str], position: int) -> bool:
    return all(positions.get(name, -1) >= position for name in names)
