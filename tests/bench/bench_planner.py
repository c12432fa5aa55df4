"""Reads and appends on connections with our planner switches.

All connections prepare their statements over a ledger that is almost empty, as on a first start, and keep them while
it grows.
"""

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from unittest.mock import patch
from uuid import uuid4

import psycopg

from adapters.embedded_postgres.server import SERVICE_ROLE, EmbeddedPostgres
from adapters.postgres import prepared
from adapters.postgres.event_store import PostgresEventStore
from domain.ids import StreamId
from domain.ports import Append, NewEvent
from domain.time import Instant
from tests.bench import sizes
from tests.bench.figures import Figure
from tests.bench.floors import METADATA, PAYLOAD
from tests.bench.own_postgres import own_postgres

EVENTS = sizes.events()
FEW_EVENTS = 1_000
STREAM_EVENTS = 4
LONG_EVENTS = 50_000
APPEND_EVENTS = 1_000
TRIES = 200
PLANNED_MAX = 1.5
"""Most of these take a tenth of a millisecond, and differ by so much from one try to the next."""
TIMEOUTS: bytes = b"; ".join(one for one in prepared.SESSION.split(b"; ") if b"timeout" in one)
NO_SCANS: bytes = b"; ".join(one for one in prepared.SESSION.split(b"; ") if b"plan_cache_mode" not in one)
GENERIC: bytes = b"; ".join(one for one in prepared.SESSION.split(b"; ") if b"enable_" not in one)
SESSIONS = {"all": prepared.SESSION, "no scans": NO_SCANS, "generic": GENERIC, "none": TIMEOUTS}
"""What is set on connections: all switches, those against scans and joins alone, generic plans alone, timeouts."""

Stores = dict[str, PostgresEventStore]
Done = Callable[[PostgresEventStore], Awaitable[object]]


async def run() -> list[Figure]:
    """Measure at three moments: almost empty, full while PostgreSQL believes it so still, and analysed."""
    async with own_postgres() as server, AsyncExitStack() as stack:
        stores: Stores = {}
        for name, session in SESSIONS.items():
            with patch.object(prepared, "SESSION", session):
                stores[name] = await stack.enter_async_context(PostgresEventStore(server.url(SERVICE_ROLE)))
                await _prepare(stores[name])
        grown = _Grown(stores["all"])
        await grown.to(FEW_EVENTS)
        figures = await _measured(stores, grown, f"{FEW_EVENTS:,} events")
        _analyse(server)  # What PostgreSQL knows of the ledger is from now on what it was at first.
        await grown.to(EVENTS)
        figures += await _measured(stores, grown, f"{EVENTS:,} events")
        _analyse(server)
        return figures + await _measured(stores, grown, "analysed")


class _Grown:
    """A ledger of short streams, beside one that is long."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._store = store
        self.streams: list[StreamId] = []
        self.long, self.long_events = StreamId(uuid4()), 0

    async def to(self, events: int) -> None:
        """Append until there are so many events."""
        while await self._store.head() < events:
            streams = [StreamId(uuid4()) for _ in range(APPEND_EVENTS // STREAM_EVENTS)]
            made = [_event(stream, version) for stream in streams for version in range(1, STREAM_EVENTS + 1)]
            self.streams += streams
            if self.long_events < min(LONG_EVENTS, events // 2):
                made += [_event(self.long, self.long_events + number + 1) for number in range(APPEND_EVENTS)]
                self.long_events += APPEND_EVENTS
            await self._store.append(Append(tuple(made)))


async def _prepare(store: PostgresEventStore) -> None:
    for _ in range(12):  # PostgreSQL decides for or against a generic plan at the sixth.
        stream = StreamId(uuid4())
        await store.append(Append((_event(stream, 1),)))
        await store.read_streams([(stream, 0)])
        await store.read_streams([(stream, 0), *((StreamId(uuid4()), 0) for _ in range(49))])
        await store.read_feed(0, 10)


async def _measured(stores: Stores, grown: _Grown, moment: str) -> list[Figure]:
    streams, head = itertools.cycle(grown.streams[::7]), await stores["all"].head()
    done: dict[str, Done] = {
        "read a stream": lambda store: store.read_streams([(next(streams), 0)]),
        "read 50 streams": lambda store: store.read_streams([(next(streams), 0) for _ in range(50)]),
        "read a long one's end": lambda store: store.read_streams([(grown.long, grown.long_events - 10)]),
        "read 100 of the feed": lambda store: store.read_feed(head - 500, 100),
        "append": lambda store: store.append(Append((_event(StreamId(uuid4()), 1),))),
    }
    figures = []
    for what, do in done.items():
        took: dict[str, list[float]] = {name: [] for name in stores}
        for _ in range(TRIES):  # In turn, so that noise falls on all alike.
            for name, store in stores.items():
                took[name].append(await _took_ms(do, store))
        median = {name: statistics.median(values) for name, values in took.items()}
        note = f"no scans {median['no scans']:.2f}, generic {median['generic']:.2f}"
        figures.append(
            Figure(
                name=f"{what}, {moment}",
                measured=median["all"],
                unit="ms",
                floor=median["none"],
                floor_is="the same as PostgreSQL plans it by itself",
                target=PLANNED_MAX,
                at_most=True,
                note=note,
            )
        )
    return figures


async def _took_ms(do: Done, store: PostgresEventStore) -> float:
    began_at = time.perf_counter()
    await do(store)
    return (time.perf_counter() - began_at) * 1000


def _event(stream: StreamId, version: int) -> NewEvent:
    return NewEvent(stream, version, "wallet.funds-added.v1", PAYLOAD, METADATA, Instant(1))


def _analyse(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.owner_url, autocommit=True) as connection:
        connection.execute("ANALYZE")
