"""The ledger thread: an event loop in a thread of its own, for callers that are threads themselves."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, Self, TypeVar

from adapters.postgres.group_writer import GroupWriter
from adapters.postgres.head_watch import HeadWatch
from adapters.postgres.read_pool import ReadPool
from domain.ports import StoreUnavailable

T = TypeVar("T")


class LedgerThread:
    """Owns the same writer, readers and watch as the event store does, and runs them for any thread.

    Streams may start at any version, which is how the eventsourcing library's recorders are used.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._handing_over = threading.Lock()
        self._is_open = True

    def __enter__(self) -> Self:
        """Start the thread and connect; raises psycopg.OperationalError."""
        self._thread.start()
        try:
            self.run(self._open())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Record what is waiting, disconnect and end the thread."""
        self.run(self._close())
        self._stop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` in the thread and wait for what comes of it; for other threads only.

        Raises what ``work`` raises, and StoreUnavailable where the ledger is closed before it is done.
        """
        assert threading.current_thread() is not self._thread, "this would wait for itself"
        with self._handing_over:
            if not self._is_open:
                work.close()
                raise StoreUnavailable("the ledger is closed")
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except CancelledError as cancelled:
            raise StoreUnavailable("the ledger was closed") from cancelled

    async def _open(self) -> None:
        self.pool = ReadPool(self._url)
        self.watch = HeadWatch(self._url, self.pool)
        self.writer = GroupWriter(self._url, any_start=True, on_recorded=self.watch.saw)
        await self.writer.open()
        self.watch.open()

    async def _close(self) -> None:
        await self.writer.close()
        await self.watch.close()
        await self.pool.close()

    def _stop(self) -> None:
        with self._handing_over:
            self._is_open = False
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            # The runner cancels what is still under way when it ends, so nobody waits for ever.
            runner.get_loop().run_forever()
