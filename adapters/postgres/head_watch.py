"""The head watch: wakes those who wait for the ledger to grow, whoever makes it grow."""

import asyncio
from contextlib import suppress

import psycopg

from adapters.postgres.binary import read_int
from adapters.postgres.prepared import CONNECT_TIMEOUT_S, PreparedQuery
from adapters.postgres.read_pool import ReadPool

POLL_EVERY_S = 0.5
"""A notice only wakes and may be lost; so whoever waits looks now and then."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 2.0
"""Before listening is tried again; doubled each time."""

_READ_HEAD = PreparedQuery("read_head", "SELECT position FROM ledger.head")


class HeadWatch:
    """Listens on a connection of its own; works without it too, only later."""

    def __init__(self, url: str, pool: ReadPool) -> None:
        self._url = url
        self._pool = pool
        self._seen = 0
        self._grown = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen(), name="head watch")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def saw(self, position: int) -> None:
        """Take note that the head is at ``position`` or past it."""
        if position > self._seen:
            self._seen = position
            grown, self._grown = self._grown, asyncio.Event()
            grown.set()

    async def head(self) -> int:
        """Return the last position, read now."""
        position = read_int((await self._pool.run(_READ_HEAD, [])).get_value(0, 0))
        self.saw(position)
        return position

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the last position known."""
        ends_at = asyncio.get_running_loop().time() + timeout_s
        while self._seen <= position:
            grown = self._grown
            if await self.head() > position:
                break
            left_s = ends_at - asyncio.get_running_loop().time()
            if left_s <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, POLL_EVERY_S)):
                    await grown.wait()
        return self._seen

    async def _listen(self) -> None:
        pause_s = PAUSE_MIN_S
        while True:
            with suppress(psycopg.Error):
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="litevps head watch"
                ) as connection:
                    await connection.execute("LISTEN ledger_head")
                    pause_s = PAUSE_MIN_S
                    async for notice in connection.notifies():
                        self.saw(int(notice.payload))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
