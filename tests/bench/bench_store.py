"""The event store: appends of many callers, and reading all of it again."""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
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
from tests.bench import sizes
from tests.bench.figures import Figure, interleaved, percentile
from tests.bench.floors import DECODED, INSERT, METADATA, PAYLOAD, READ_BY_COPY, Inserts, in_thread, read_by_copy_s

ROUNDS = 5
ROUND_S = 1.5
REPLAYED_EVENTS = sizes.events()
REPLAYS = 3
REPLAY_MAX = 4.5
P99_MAX = 2.0
LIBRARY = "the recorder of the library eventsourcing"


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
                for concurrency, of_library, of_insert in ((8, 6, 0.4), (64, 10, 0.9)):
                    inserts = Inserts(server.owner_url, concurrency)
                    async with inserts:
                        figures += await _appends(store, recorder, inserts, concurrency, of_library, of_insert)
            return [*figures, await _replay(server.owner_url, store)]
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(folder)


async def _appends(
    store: PostgresEventStore,
    recorder: PostgresApplicationRecorder,
    inserts: Inserts,
    concurrency: int,
    of_library: float,
    of_insert: float,
) -> list[Figure]:
    """Measure appends of one event to a new stream by so many callers, each waiting for its answer."""
    ours_s: list[float] = []
    theirs_s: list[float] = []
    inserts_s: list[float] = []

    async def ours() -> float:
        return await _rate_of_tasks(store, concurrency, ours_s)

    async def theirs() -> float:
        return await asyncio.to_thread(_rate_of_threads, recorder, concurrency, theirs_s)

    async def inserted() -> float:
        return await inserts.rate(ROUND_S, inserts_s)

    for warm_up in (ours, theirs, inserted):
        await warm_up()
    for latencies_s in (ours_s, theirs_s, inserts_s):
        latencies_s.clear()
    our_rate, their_rate, insert_rate = await interleaved(ROUNDS, ours, theirs, inserted)
    name, p99_ms = f"appends, {concurrency} callers", percentile(ours_s, 0.99) * 1000
    rate = partial(Figure, measured=our_rate, unit="/s")
    return [
        rate(name=name, floor=insert_rate, floor_is=INSERT, target=of_insert),
        rate(name=f"{name}, of the library's", floor=their_rate, floor_is=LIBRARY, target=of_library),
        Figure(
            name=f"{name}, p99",
            measured=p99_ms,
            unit="ms",
            floor=percentile(inserts_s, 0.99) * 1000,
            floor_is=INSERT,
            target=P99_MAX,
            at_most=True,
            note=f"the library's: {percentile(theirs_s, 0.99) * 1000:.1f} ms",
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
    counts = []

    async def replayed() -> float:
        balances: defaultdict[UUID, int] = defaultdict(int)
        began_at = time.perf_counter()
        count = 0
        async for events in store.replay():
            for event in events:
                balances[event.stream] += decoder.decode(event.payload).amount
            count += len(events)
        took_s = time.perf_counter() - began_at
        assert sum(balances.values()) == count * 5_000_000
        counts.append(count)
        return took_s / count * 1_000_000

    def least() -> float:
        count = counts[-1]
        copied_s, began_at = read_by_copy_s(owner_url), time.perf_counter()
        for _ in range(count):
            decoder.decode(PAYLOAD)
        return (copied_s + time.perf_counter() - began_at) / count * 1_000_000

    replayed_s, floor_s = await interleaved(REPLAYS, replayed, in_thread(least))
    return Figure(
        name="replay of a million events",
        measured=replayed_s,
        unit="s",
        floor=floor_s,
        floor_is=f"{READ_BY_COPY} and {DECODED}",
        target=REPLAY_MAX,
        at_most=True,
        note=f"of {counts[-1]:,} events",
    )


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
