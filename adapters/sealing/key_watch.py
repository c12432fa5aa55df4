"""The key watch: tells a process of keys that others erased or made, so that it lets go of its own copies."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psycopg
import structlog

from domain.ports import StoreFailed

CHANNEL = "sealing_keys"
POLL_EVERY_S = 10.0
"""How often it is tried whether the connection still stands; so long at most an erased key is used elsewhere."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 2.0
"""Before listening is tried again; doubled each time."""

_log = structlog.get_logger(__name__)

OnKeyChange = Callable[[str | None], Awaitable[object]]
"""Is given the account of which a notice tells; None: some may have been missed."""
Poll = Callable[[], Awaitable[object]]
"""Looks for what is told by no notice, every ``POLL_EVERY_S``."""


class KeyWatch:
    """Listens on a connection of its own, from ``open`` to ``close``."""

    def __init__(self, url: str, on_key_change: OnKeyChange, poll: Poll) -> None:
        self._url = url
        self._poll = poll
        self._on_key_change = on_key_change
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._listen(), name="key watch")

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listen(self) -> None:
        pause_s = PAUSE_MIN_S
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, application_name="litevps key watch"
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    # Whatever was told before this is looked up anew.
                    await self._on_key_change(None)
                    pause_s = PAUSE_MIN_S
                    await self._receive(connection)
            except (psycopg.Error, TimeoutError, StoreFailed) as lost:
                _log.info("key watch lost its connection", problem=str(lost))
            except Exception:  # noqa: BLE001 Whatever is wrong, it is looked again.
                _log.exception("key watch failed")
            await self._on_key_change(None)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _receive(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            async for notice in connection.notifies(timeout=POLL_EVERY_S):
                await self._on_key_change(notice.payload)
            async with asyncio.timeout(POLL_EVERY_S):
                await connection.execute("SELECT 1")
                await self._poll()
