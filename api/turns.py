"""Turns: tasks of one process that want the same stream go one after another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.ids import StreamId


class Turns:
    """A lock for each stream that somebody waits for; it goes when the last has left."""

    def __init__(self) -> None:
        self._locks: dict[StreamId, asyncio.Lock] = {}
        self._interested: dict[StreamId, int] = {}

    @asynccontextmanager
    async def on(self, stream: StreamId) -> AsyncIterator[None]:
        """Wait for the stream to be nobody else's, and keep it until the block ends."""
        lock = self._locks.setdefault(stream, asyncio.Lock())
        self._interested[stream] = self._interested.get(stream, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._interested[stream] -= 1
            if not self._interested[stream]:
                del self._interested[stream], self._locks[stream]
