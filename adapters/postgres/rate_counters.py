"""Counts of tries in PostgreSQL, shared by all processes; those that come at once are counted in one statement."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b

from adapters.postgres.binary import BYTEA, bytes_array, int4_array, int8_array, read_int
from adapters.postgres.prepared import PreparedQuery
from adapters.postgres.read_pool import ReadPool
from domain.accounts.ports import Quota, Tally
from domain.time import MICROSECONDS_PER_SECOND

SWEEP_EVERY_S = 60.0
SWEPT_MAX = 10_000

# A window ends where it did, unless it has, or its end is further off than it is long: then a clock stepped back.
_COUNT = PreparedQuery(
    "count_tries",
    """
    WITH present AS (SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now),
    tried AS (
        SELECT u.key, u.tries, present.now, present.now + u."window" AS ends_at
        FROM present, unnest($1::bytea[], $2::bigint[], $3::integer[]) AS u (key, "window", tries)
    )
    INSERT INTO throttle.tries AS t (key, ends_at, count)
    SELECT key, ends_at, tries FROM tried ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        count = CASE WHEN t.ends_at > (SELECT now FROM present) AND t.ends_at <= excluded.ends_at
                THEN t.count + excluded.count ELSE excluded.count END,
        ends_at = CASE WHEN t.ends_at > (SELECT now FROM present) AND t.ends_at <= excluded.ends_at
                  THEN t.ends_at ELSE excluded.ends_at END
    RETURNING t.key, t.count, t.ends_at - (SELECT now FROM present)
    """,
)
_SWEEP = PreparedQuery(
    "sweep_tries",
    f"""
    DELETE FROM throttle.tries WHERE key IN (
        SELECT key FROM throttle.tries WHERE ends_at < (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
        ORDER BY ends_at LIMIT {SWEPT_MAX} FOR UPDATE SKIP LOCKED
    )
    """,  # noqa: S608 — a number of ours.
)

_Caller = tuple[bytes, int, "asyncio.Future[Tally]"]
"""Key, length of the window in microseconds, answer."""


class PostgresRateCounters:
    """Implements ``domain.accounts.ports.RateCounters``; belongs to one event loop."""

    def __init__(self, url: str) -> None:
        self._pool = ReadPool(url)
        self._callers: list[_Caller] = []
        self._counting: asyncio.Task[None] | None = None
        self._swept_s = time.monotonic()

    async def count(self, tries: Sequence[tuple[Quota, str]]) -> list[Tally]:
        """Count one try of each (quota, subject), and return how often each has tried. Raises StoreFailed."""
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Tally]] = []
        for quota, subject in tries:
            answer: asyncio.Future[Tally] = loop.create_future()
            self._callers.append((_key(quota, subject), quota.window_s * MICROSECONDS_PER_SECOND, answer))
            answers.append(answer)
        if self._counting is None:
            self._counting = loop.create_task(self._count_all())
        return [await answer for answer in answers]

    async def close(self) -> None:
        """Let the connections go."""
        if self._counting is not None:
            self._counting.cancel()
            with suppress(asyncio.CancelledError):
                await self._counting
        await self._pool.close()

    async def _count_all(self) -> None:
        # Whoever comes while one statement is under way is counted in the next.
        try:
            while self._callers:
                callers, self._callers = self._callers, []
                try:
                    await self._count_batch(callers)
                    await self._sweep_now_and_then()
                except Exception as error:  # noqa: BLE001 — told to every caller.
                    for _, _, answer in callers:
                        if not answer.done():
                            answer.set_exception(error)
        finally:
            self._counting = None

    async def _count_batch(self, callers: list[_Caller]) -> None:
        together: dict[bytes, tuple[int, list[asyncio.Future[Tally]]]] = {}
        for key, window, answer in callers:
            together.setdefault(key, (window, []))[1].append(answer)
        rows = await self._pool.run(
            _COUNT,
            [
                bytes_array(BYTEA, together),
                int8_array(window for window, _ in together.values()),
                int4_array(len(answers) for _, answers in together.values()),
            ],
        )
        for row in range(rows.ntuples):
            count, left = read_int(rows.get_value(row, 1)), read_int(rows.get_value(row, 2))
            _tell(together[rows.get_value(row, 0) or b""][1], count, left)

    async def _sweep_now_and_then(self) -> None:
        if time.monotonic() - self._swept_s >= SWEEP_EVERY_S:
            self._swept_s = time.monotonic()
            await self._pool.run(_SWEEP, [])


def _key(quota: Quota, subject: str) -> bytes:
    return blake2b(f"{quota.name}\n{subject}".encode(), digest_size=16).digest()


def _tell(answers: list["asyncio.Future[Tally]"], count: int, left: int) -> None:
    """Give each of those who came together a place of its own in the count."""
    for place, answer in enumerate(reversed(answers)):
        if not answer.done():
            answer.set_result(Tally(count - place, -(-left // MICROSECONDS_PER_SECOND)))
