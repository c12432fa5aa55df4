"""Replay: every event there is in order of position, a page at a time, for audits and rebuilding."""

from collections.abc import AsyncIterator

import psycopg
from psycopg.rows import args_row

from adapters.postgres.recorded_rows import READ_FEED
from domain.ports import READ_BYTES_MAX, Recorded

PAGE_EVENTS, PAGE_BYTES = 2_000, READ_BYTES_MAX // 4
"""How much is read at once; of large events, at least one."""

_SESSION = b"SET enable_seqscan = off; SET jit = off"
_LAST = "SELECT coalesce(max(position), 0) FROM ledger.event"


async def replay(url: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
    """Yield all events past a position, in lists, as of the moment it began.

    Takes no connection of the store's, and holds no transaction open. Raises psycopg.Error when the database is lost.
    """
    async with await psycopg.AsyncConnection.connect(
        url, autocommit=True, prepare_threshold=0, cursor_factory=psycopg.AsyncRawCursor
    ) as connection:
        await connection.execute(_SESSION, prepare=False)
        # Events never change, so what is below the last of them now is as it is now, whenever it is read.
        [until] = await (await connection.execute(_LAST)).fetchone() or [0]
        cursor = connection.cursor(binary=True, row_factory=args_row(Recorded))
        while after < until:
            await cursor.execute(READ_FEED.sql.encode(), [after, PAGE_EVENTS, PAGE_BYTES])
            events = [event for event in await cursor.fetchall() if event.position <= until]
            if not events:
                return
            yield events
            after = events[-1].position
