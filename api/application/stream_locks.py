"""Stream locks: tasks of one process that want to record in the same streams go one after another."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext

from domain.ids import StreamId


class StreamLocks:
    """A lock for each stream that somebody waits for; it goes when the last has left.

    They only save work, and keep order among the tasks of one process: what is right is decided by the versions
    in each append.
    """

    def __init__(self) -> None:
        self._locks: dict[StreamId, asyncio.Lock] = {}
        self._interested: dict[StreamId, int] = {}

    def contended(self, streams: Collection[StreamId]) -> frozenset[StreamId]:
        """Return those of the streams that somebody holds or waits for."""
        return frozenset(stream for stream in streams if stream in self._locks)

    def hold(self, streams: Collection[StreamId]) -> AbstractAsyncContextManager[None]:
        """Wait for all of the streams to be nobody else's, and keep them until the block ends.

        They are taken in one order everywhere, whatever the order in which they are told: so no two tasks ever
        wait for each other.
        """
        # Nearly always there are none, and whoever waits for nothing should pay nothing.
        return self._all(streams) if streams else nullcontext()

    @asynccontextmanager
    async def _all(self, streams: Collection[StreamId]) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            for stream in sorted(set(streams)):
                await held.enter_async_context(self._one(stream))
            yield

    @asynccontextmanager
    async def _one(self, stream: StreamId) -> AsyncIterator[None]:
        lock = self._locks.setdefault(stream, asyncio.Lock())
        self._interested[stream] = self._interested.get(stream, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._interested[stream] -= 1
            if not self._interested[stream]:
                del self._interested[stream], self._locks[stream]
