"""The database watch: a PostgreSQL of our own that is gone is started again."""

import asyncio
from collections.abc import Callable

import structlog

POLL_EVERY_S = 1.0
PAUSE_AFTER_FAILURE_S = 10.0

_log = structlog.get_logger(__name__)


async def watch_database(ensure_running: Callable[[], bool]) -> None:
    """Look after the server until cancelled; a start that is under way by then is finished.

    ``ensure_running`` blocks, and returns whether the server was gone.
    """
    while True:
        await asyncio.sleep(POLL_EVERY_S)
        looking = asyncio.ensure_future(asyncio.to_thread(ensure_running))
        try:
            if await asyncio.shield(looking):
                _log.warning("PostgreSQL was gone and is started again")
        except asyncio.CancelledError:
            # Whoever stops the server next must not overlook one that is just starting.
            await asyncio.wait([looking])
            raise
        except Exception:  # noqa: BLE001 Whatever it is, a database that is away must not stay so for it.
            _log.exception("PostgreSQL is gone and cannot be started again")
            await asyncio.sleep(PAUSE_AFTER_FAILURE_S)
