"""The event store beside the recorder of the eventsourcing library, on one server in one run."""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from adapters.embedded_postgres.server import SERVICE_ROLE, SUPERUSER, EmbeddedPostgres
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrate import migrate
from domain.ids import StreamId
from domain.ports import Append, NewEvent
from domain.time import Instant
from tests.bench.figures import Figure, interleaved, percentile

ROUNDS = 5
ROUND_S = 2.0
REPLAYED_EVENTS = int(os.environ.get("LITEVPS_BENCH_EVENTS", "1000000"))

PAYLOAD = '{"type":"wallet.funds-added.v1","amount":5000000,"reference":"bench"}'
METADATA = '{"id":"0198c1f2-7a54-7c3e-9f4b-0a1b2c3d4e5f","actor":{"kind":"service","part":"bench"}}'


async def run() -> list[Figure]:
    """Measure appends at two concurrencies, then a replay."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-bench-"))
    folder.chmod(0o711)  # noqa: ASYNC240 — nothing else runs yet.
    server = EmbeddedPostgres(folder / "postgres")
    try:
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(migrate, server.owner_url, server.service_password)
        async with PostgresEventStore(server.url(SERVICE_ROLE)) as store:
            figures = []
            with _library(server.url(SUPERUSER)) as recorder:
                figures += await _appends(store, recorder, concurrency=8, target=6)
                figures += await _appends(store, recorder, concurrency=64, target=10)
            return [*figures, await _replay(server.owner_url, store)]
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder)


async def _appends(
    store: PostgresEventStore, recorder: PostgresApplicationRecorder, *, concurrency: int, target: float
) -> list[Figure]:
    """Measure appends of one event to a new stream by so many callers, each waiting for its answer."""
    ours_s: list[float] = []
    theirs_s: list[float] = []

    async def ours() -> float:
        return await _rate_of_tasks(store, concurrency, ours_s)

    async def theirs() -> float:
        return await asyncio.to_thread(_rate_of_threads, recorder, concurrency, theirs_s)

    await ours()
    await theirs()  # Both are warm now.
    ours_s.clear()
    theirs_s.clear()
    our_rate, their_rate = await interleaved(ROUNDS, ours, theirs)
    return [
        Figure(f"appends, {concurrency} callers", our_rate, "/s", their_rate, target),
        Figure(
            f"appends, {concurrency} callers, p99",
            percentile(ours_s, 0.99) * 1000,
            "ms",
            percentile(theirs_s, 0.99) * 1000,
        ),
    ]


async def _rate_of_tasks(store: PostgresEventStore, concurrency: int, latencies_s: list[float]) -> float:
    ends_at = time.perf_counter() + ROUND_S

    async def call() -> int:
        for done in itertools.count():
            began_at = time.perf_counter()
            if began_at > ends_at:
                return done
            event = NewEvent(StreamId(uuid4()), 1, "wallet.funds-added.v1", PAYLOAD, METADATA, Instant(1))
            await store.append(Append((event,)))
            latencies_s.append(time.perf_counter() - began_at)
        raise AssertionError

    began_at = time.perf_counter()
    counts = await asyncio.gather(*(call() for _ in range(concurrency)))
    return sum(counts) / (time.perf_counter() - began_at)


def _rate_of_threads(recorder: PostgresApplicationRecorder, concurrency: int, latencies_s: list[float]) -> float:
    ends_at = time.perf_counter() + ROUND_S
    # The library has no column for metadata, so the state is as long as both texts.
    state = (PAYLOAD + METADATA).encode()

    def call() -> int:
        for done in itertools.count():
            began_at = time.perf_counter()
            if began_at > ends_at:
                return done
            recorder.insert_events([StoredEvent(uuid4(), 1, "wallet.funds-added.v1", state)])
            latencies_s.append(time.perf_counter() - began_at)
        raise AssertionError

    began_at = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as threads:
        counts = [threads.submit(call) for _ in range(concurrency)]
        return sum(count.result() for count in counts) / (time.perf_counter() - began_at)


@contextmanager
def _library(url: str) -> Iterator[PostgresApplicationRecorder]:
    """Yield the library's own recorder as it comes, with a connection for each thread."""
    parts = conninfo_to_dict(url)
    with PostgresDatastore(
        str(parts["dbname"]),
        str(parts["host"]),
        str(parts["port"]),
        str(parts["user"]),
        str(parts["password"]),
        pool_size=64,
        connect_timeout=30,
    ) as datastore:
        recorder = PostgresApplicationRecorder(datastore)
        recorder.create_table()
        yield recorder


class _FundsAdded(msgspec.Struct):
    amount: int


async def _replay(owner_url: str, store: PostgresEventStore) -> Figure:
    """Fold every event into balances, a stream each, the way an audit does."""
    await asyncio.to_thread(_fill, owner_url, REPLAYED_EVENTS)
    decoder = msgspec.json.Decoder(_FundsAdded)
    balances: defaultdict[UUID, int] = defaultdict(int)
    began_at = time.perf_counter()
    count = 0
    async for events in store.replay():
        for event in events:
            balances[event.stream] += decoder.decode(event.payload).amount
        count += len(events)
    took_s = time.perf_counter() - began_at
    assert sum(balances.values()) == count * 5_000_000
    note = f"{count:,} events into {len(balances):,} balances, {count / took_s:,.0f} a second"
    return Figure("replay of a million events", took_s / count * 1_000_000, "s", None, 10, at_most=True, note=note)


def _fill(owner_url: str, count: int) -> None:
    """Put in events up to ``count``, a thousand streams, as the append function would have."""
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            """
            INSERT INTO ledger.event
                (position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash)
            SELECT p, md5((p %% 1000)::text)::uuid, p / 1000, 'wallet.funds-added.v1', %s, %s, 1, h.recorded_at,
                   ledger.leaf_hash(p, md5((p %% 1000)::text)::uuid, (p / 1000)::integer, 'wallet.funds-added.v1',
                                    1, h.recorded_at, %s, %s)
            FROM ledger.head AS h, generate_series(h.position + 1, %s) AS p
            """,
            [PAYLOAD, METADATA, METADATA, PAYLOAD, count],
        )
        connection.execute("UPDATE ledger.head SET position = greatest(position, %s)", [count])
