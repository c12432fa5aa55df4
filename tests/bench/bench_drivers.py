"""Small reads on a prepared connection.

See docs/decisions/0008-prepared-connections.md, which holds what was measured.
"""

import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import args_row
from psycopg_pool import AsyncConnectionPool

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import FIND_CLAIM, PostgresEventStore
from adapters.postgres.prepared import SESSION, PreparedQuery
from adapters.postgres.recorded_rows import READ_FEED, READ_STREAMS
from domain.ids import StreamId
from domain.ports import READ_BYTES_MAX, Append, Claim, NewEvent, Recorded
from domain.time import Instant
from tests.bench.figures import Figure, interleaved
from tests.bench.own_postgres import own_postgres

ROUNDS, ROUND_S = 5, 0.4
STREAMS, EVENTS_PER_STREAM = 500, 20
TARGET = 1.3
"""Below this, a way of our own is not worth its lines."""
POOL = "the same on psycopg's own pool"
PAYLOAD = '{"type":"wallet.funds-added.v1","amount":5000000,"reference":"bench"}'
METADATA = '{"id":"0198c1f2-7a54-7c3e-9f4b-0a1b2c3d4e5f","actor":{"kind":"service","part":"bench"}}'

Read = Callable[[], Awaitable[Any]]


async def run() -> list[Figure]:
    """Measure the reads of a request, each as the store does it and as psycopg's pool would."""
    async with own_postgres() as server:
        url = server.url(SERVICE_ROLE)
        async with PostgresEventStore(url) as store, _psycopg_pool(url) as pool:
            streams = itertools.cycle(await _fill(store))
            figures = [
                await _figure(f"read two streams, {name}", *_stream_reads(store, pool, streams, after), target)
                for name, after, target in (
                    ("nothing new", EVENTS_PER_STREAM, TARGET),
                    ("an event of each new", EVENTS_PER_STREAM - 1, TARGET),
                    (f"all {EVENTS_PER_STREAM} events of each", 0, None),
                )
            ]
            figures.append(await _figure("find a claim", *_claim_reads(store, pool, streams), TARGET))
            for limit, target in ((1, TARGET), (10, TARGET), (1_000, None)):
                figures.append(
                    await _figure(f"read the feed, {limit} events", *_feed_reads(store, pool, limit), target)
                )
            return figures


async def _figure(name: str, ours: Read, theirs: Read, target: float | None) -> Figure:
    assert await ours() == await theirs()
    our_rate, their_rate = await interleaved(ROUNDS, lambda: _rate(ours), lambda: _rate(theirs))
    return Figure(name=name, measured=our_rate, unit="/s", floor=their_rate, floor_is=POOL, target=target)


def _stream_reads(
    store: PostgresEventStore, pool: "_Pool", streams: Iterator[StreamId], after: int
) -> tuple[Read, Read]:
    two = (next(streams), next(streams))
    return (
        lambda: store.read_streams([(stream, after) for stream in two]),
        lambda: _rows(pool, READ_STREAMS, [list(two), [after, after], READ_BYTES_MAX], Recorded),
    )


def _claim_reads(store: PostgresEventStore, pool: "_Pool", streams: Iterator[StreamId]) -> tuple[Read, Read]:
    key = next(streams).bytes

    async def theirs() -> Claim:
        [(holder, kept, expires_at)] = await _rows(pool, FIND_CLAIM, ["email", key], lambda *columns: columns)
        return Claim("email", key, holder, kept, expires_at)

    return lambda: store.find_claim("email", key), theirs


def _feed_reads(store: PostgresEventStore, pool: "_Pool", limit: int) -> tuple[Read, Read]:
    return (
        lambda: store.read_feed(5_000, limit),
        lambda: _rows(pool, READ_FEED, [5_000, limit, READ_BYTES_MAX], Recorded),
    )


_Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]


@asynccontextmanager
async def _psycopg_pool(url: str) -> Any:
    """Give a pool as psycopg makes it fastest: queries prepared at once, binary, not parsed on this side."""

    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(SESSION, prepare=False)

    settings = {"autocommit": True, "prepare_threshold": 0, "cursor_factory": psycopg.AsyncRawCursor}
    async with AsyncConnectionPool(url, min_size=4, max_size=4, configure=configure, kwargs=settings) as pool:
        await pool.wait()
        yield pool


async def _rows(pool: _Pool, query: PreparedQuery, parameters: Sequence[object], row: Callable[..., Any]) -> list[Any]:
    async with pool.connection() as connection:
        cursor = connection.cursor(binary=True, row_factory=args_row(row))
        await cursor.execute(query.sql.encode(), parameters)
        return await cursor.fetchall()


async def _rate(read: Read) -> float:
    began_s = time.perf_counter()
    for done in itertools.count(1):
        await read()
        if (spent_s := time.perf_counter() - began_s) > ROUND_S:
            return done / spent_s
    raise AssertionError


async def _fill(store: PostgresEventStore) -> list[StreamId]:
    streams = [StreamId(uuid4()) for _ in range(STREAMS)]
    for stream in streams:
        events = tuple(
            NewEvent(stream, version, "wallet.funds-added.v1", PAYLOAD, METADATA, Instant(1))
            for version in range(1, EVENTS_PER_STREAM + 1)
        )
        await store.append(Append(events, (Claim("email", stream.bytes, stream, b"kept"),)))
    return streams
