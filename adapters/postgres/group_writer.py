"""The group writer: appends of many callers in one transaction, each refused or recorded by itself.

While one transaction waits for the disk, the next requests gather; so the more callers there are, the more
share one wait. Two requests that touch one stream, claim or VPS are never in one transaction.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress

import psycopg

from adapters.postgres.append_requests import APPEND, AppendRequest, answers, parameters
from adapters.postgres.binary import read_int
from adapters.postgres.errors import is_in_the_way, port_error_of
from adapters.postgres.lost_answers import answer_recorded
from adapters.postgres.prepared import ConnectionLost, PreparedConnection
from domain.ports import Append, Appended, OutcomeUnknown, StoreUnable, StoreUnavailable

REQUESTS_MAX = 500
"""Requests in one transaction; so are the next three."""
EVENTS_MAX = 5_000
BYTES_MAX = 16 * 1024 * 1024
SCANNED_MAX = 4 * REQUESTS_MAX
"""How far ahead the queue is searched for requests that do not touch what an earlier one does."""
LOW_PRIORITY_ITEMS_MAX = 99
"""Events and minutes of patient appends in one transaction: so long others wait for it at the most."""
QUEUE_MAX = 10_000
"""Requests that may wait; further callers wait to be let in."""
GATHER_SHARE, GATHER_S_MAX = 0.25, 0.003
"""How long as many requests as in the last transaction are waited for: a share of what that one took."""
OUTAGE_MAX_S = 30.0
"""How long a lost database is tried again before callers are told."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.02, 0.3
"""Between two tries; doubled each time."""
IN_THE_WAY_TRIES_MAX = 10
"""How often a transaction is tried that others were in the way of: a deadlock, say."""


class GroupWriter:
    """Owns one connection and the order of what is written through it."""

    def __init__(self, url: str, *, on_recorded: Callable[[int], None] | None = None) -> None:
        """``on_recorded`` is told new positions."""
        self._url = url
        self._on_recorded = on_recorded or (lambda _: None)
        self._connection: PreparedConnection | None = None
        self._queue: deque[AppendRequest] = deque()
        self._low_priority: deque[AppendRequest] = deque()
        self._low_priority_left_out = False
        """Whether the last transaction was for others alone."""
        self._room = asyncio.Semaphore(QUEUE_MAX)
        self._waiting = asyncio.Event()
        self._gathered = asyncio.Event()
        self._last_count = 0
        self._last_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Connect and start to write; raises psycopg.OperationalError."""
        self._connection = await PreparedConnection.open(self._url)
        self._task = asyncio.create_task(self._work(), name="group writer")

    async def close(self) -> None:
        """Write what is waiting, take nothing more, and end the connection."""
        self._closing = True
        self._waiting.set()
        if self._task is not None:
            await self._task
        await self._drop_connection()

    async def append(self, append: Append) -> Appended:
        """Record all of it or none; see ``EventStore.append``."""
        request = AppendRequest(append)
        async with self._room:
            if self._closing or self._task is None:
                raise StoreUnavailable("the store is closed")
            (self._low_priority if append.low_priority else self._queue).append(request)
            self._waiting.set()
            if len(self._queue) >= self._last_count:
                self._gathered.set()
            return await request.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue or self._low_priority or not self._closing:
            if not self._queue and not self._low_priority:
                self._waiting.clear()
                await self._waiting.wait()
            await self._gather()
            if batch := self._next_batch():
                began_s = loop.time()
                await self._record(batch)
                self._last_count = sum(not request.append.low_priority for request in batch)
                self._last_s = loop.time() - began_s

    async def _gather(self) -> None:
        # Who was just answered is likely to ask again: without a moment's patience the first of them would
        # be written alone, and all others wait for the disk twice.
        if len(self._queue) >= self._last_count or self._low_priority or self._closing:
            return
        self._gathered.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._last_s * GATHER_SHARE, GATHER_S_MAX)):
                await self._gathered.wait()

    def _next_batch(self) -> list[AppendRequest]:
        batch: list[AppendRequest] = []
        touched: set[Hashable] = set()
        _take(self._queue, batch, touched, EVENTS_MAX)
        # Whoever waits for an answer has the transaction alone, but never twice running.
        self._low_priority_left_out = bool(batch) and not self._low_priority_left_out
        if not self._low_priority_left_out:
            _take(self._low_priority, batch, touched, LOW_PRIORITY_ITEMS_MAX)
        return batch

    async def _record(self, batch: list[AppendRequest]) -> None:
        """Give every request of the batch its answer."""
        loop = asyncio.get_running_loop()
        gives_up_at = loop.time() + OUTAGE_MAX_S
        try:
            if error := await self._answered(batch, gives_up_at):
                await self._find_blamed(batch, error, gives_up_at)
        except StoreUnavailable as away:
            _fail(batch, away)
            for queue in (self._queue, self._low_priority):
                _fail(queue, StoreUnavailable(str(away)))
                queue.clear()
        except Exception as error:  # noqa: BLE001 — whatever it is, nobody may wait for ever.
            _fail(batch, error)

    async def _find_blamed(self, batch: list[AppendRequest], error: psycopg.Error, gives_up_at: float) -> None:
        """Record what can be recorded of a batch to which the database answered an error, and fail the rest.

        It may be the fault of one request, which must not be that of all who came with it: so each half is tried by
        itself. Where both fail for what the database lacks (a full disk, say), nobody is to blame, and all are told.
        """
        open_requests = [request for request in batch if not request.answer.done()]
        if len(open_requests) <= 1 or asyncio.get_running_loop().time() > gives_up_at:
            _fail_answered(open_requests, error)
            return
        middle = len(open_requests) // 2
        halves = [open_requests[:middle], open_requests[middle:]]
        errors = [await self._answered(half, gives_up_at) for half in halves]
        if all(isinstance(port_error_of(one), StoreUnable) for one in errors if one) and all(errors):
            _fail_answered(open_requests, error)
            return
        for half, one in zip(halves, errors, strict=True):
            if one:
                await self._find_blamed(half, one, gives_up_at)

    async def _answered(self, batch: list[AppendRequest], gives_up_at: float) -> psycopg.Error | None:
        """Have a batch recorded; return the error that the database answered, in which case nothing of it is.

        Raises StoreUnavailable once it was away for too long.
        """
        loop = asyncio.get_running_loop()
        pause_s = PAUSE_MIN_S
        tries = 0
        while True:
            try:
                connection = await self._connected()
                if batch := await _unrecorded(connection, batch):
                    await self._send(connection, batch)
                return None
            except ConnectionLost as lost:
                cause: Exception = lost
            except psycopg.Error as error:
                tries += 1
                # Without a connection there was nobody who could answer.
                if self._connection is not None and not isinstance(port_error_of(error), StoreUnavailable):
                    if not is_in_the_way(error) or tries >= IN_THE_WAY_TRIES_MAX:
                        return error
                    await asyncio.sleep(pause_s)
                    continue
                cause = error
            await self._drop_connection()
            if loop.time() > gives_up_at:
                is_doubtful = any(request.is_doubtful for request in batch)
                raise (OutcomeUnknown if is_doubtful else StoreUnavailable)(str(cause)) from cause
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _send(self, connection: PreparedConnection, batch: Sequence[AppendRequest]) -> None:
        try:
            result = await connection.run(APPEND, parameters(batch))
        except ConnectionLost:
            for request in batch:
                request.is_doubtful = True
            raise
        refused = dict(answers(batch, result))
        self._on_recorded(read_int(result.get_value(0, 0)))
        # Refused for what it did itself, through a connection that was lost?
        for request in await _unrecorded(connection, list(refused)):
            request.fail(refused[request])

    async def _connected(self) -> PreparedConnection:
        if self._connection is not None and not self._connection.usable:
            await self._drop_connection()  # Lost while nothing ran on it.
        if self._connection is None:
            self._connection = await PreparedConnection.open(self._url)
        return self._connection

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                await connection.close()


def _take(queue: deque[AppendRequest], batch: list[AppendRequest], touched: set[Hashable], items_max: int) -> None:
    """Move requests from a queue to a batch, none of which touches what an earlier one does."""
    held: list[AppendRequest] = []
    taken = items = size_bytes = 0
    while queue and taken < REQUESTS_MAX and taken + len(held) < SCANNED_MAX:
        request = queue[0]
        items += request.items
        size_bytes += request.size_bytes
        if taken and (items > items_max or size_bytes > BYTES_MAX):
            break
        queue.popleft()
        if request.answer.done():
            continue  # The caller was cancelled, and has left.
        if touched.isdisjoint(request.touches):
            batch.append(request)
            taken += 1
        else:
            held.append(request)
        touched |= request.touches  # A third one may not overtake the one that is held.
    queue.extendleft(reversed(held))


async def _unrecorded(connection: PreparedConnection, batch: Sequence[AppendRequest]) -> list[AppendRequest]:
    """Return the requests that are still to be answered, having looked for those that may be recorded."""
    doubtful = [request for request in batch if request.is_doubtful]
    if not doubtful:
        return list(batch)
    unrecorded = set(await answer_recorded(connection, doubtful))
    return [request for request in batch if not request.is_doubtful or request in unrecorded]


def _fail_answered(requests: Iterable[AppendRequest], error: psycopg.Error) -> None:
    """Tell requests what the database answered; one that may be recorded all the same is told that."""
    for request in requests:
        request.fail(OutcomeUnknown(str(error)) if request.is_doubtful else port_error_of(error))


def _fail(requests: Iterable[AppendRequest], error: Exception) -> None:
    for request in requests:
        request.fail(error)
