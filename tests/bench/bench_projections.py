"""Read models folded from a ledger of a million events, and all of it verified."""

import asyncio
import gc
import os
import time
from bisect import bisect_right
from collections.abc import Sequence

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from api.application.audit.verify import verify
from domain.ports import Recorded
from projections.balances import BALANCES
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA, rebuild
from projections.read_model import ReadModel
from projections.runner import Feed, Folding, connect
from tests.bench.figures import Figure
from tests.bench.made_up_ledger import made_up_events, put_into
from tests.bench.own_postgres import own_postgres

gc.set_threshold(50_000, 20, 100)  # As the program itself has it.
EVENTS = int(os.environ.get("LITEVPS_BENCH_EVENTS", "1000000"))
EVENTS_PER_ACCOUNT = 1_000
"""A million events are those of a thousand customers who have two VPSs each for ten hours."""
MINUTES_PER_ACCOUNT = 582
FLOOR_EVENTS_PER_S = 30_000
JUDGED_EVENTS_MIN = 5_000
BALANCES_LIMIT_S = 10


async def run() -> list[Figure]:
    """Measure each read model over its own kinds of events, then balances and the audit over all."""
    async with own_postgres() as server:
        return await measure(server.url(SERVICE_ROLE), server.owner_url, EVENTS)


async def measure(service_url: str, owner_url: str, events: int) -> list[Figure]:
    """Fill a fresh, migrated database, and measure in it."""
    lines = made_up_events(max(1, events // EVENTS_PER_ACCOUNT), MINUTES_PER_ACCOUNT)
    count = await asyncio.to_thread(put_into, owner_url, lines)
    note = f"of {count:,} events"
    figures = []
    async with PostgresEventStore(service_url) as store:
        whole = [event async for batch in store.replay() for event in batch]
        gc.freeze()  # A service does not hold a million events: looking through them is not to be measured.
        for model in READ_MODELS:
            own = [event for event in whole if event.type in model.stored_names]
            if own:
                figures.append(await _fold_own(service_url, model, own))
        del whole
        gc.unfreeze()
        began_s = time.perf_counter()
        await rebuild(owner_url, store, [BALANCES])
        balances_s = (time.perf_counter() - began_s) * 1_000_000 / count
        name = "a million events folded into balances"
        figures.append(Figure(name, balances_s, "s", target=BALANCES_LIMIT_S, at_most=True, note=note))
        for model in READ_MODELS:
            await _fold(service_url, store, model)
        report = await verify(store, PostgresEvidence(service_url), service_url, READ_MODELS)
        assert report.ok, report
        per_million_s = report.duration_s * 1_000_000 / count
        figures.append(Figure("audit verify of a million events", per_million_s, "s", note=note))
    return figures


class _OwnEvents:
    """A feed of the events of some kinds only, from memory, so that nothing but the folding is measured."""

    def __init__(self, events: Sequence[Recorded]) -> None:
        self._events = events
        self._positions = [event.position for event in events]

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        start = bisect_right(self._positions, after)
        return list(self._events[start : start + limit])

    async def head(self) -> int:
        return self._positions[-1]

    async def wait_past(self, position: int, timeout_s: float) -> int:
        return self._positions[-1]


async def _fold_own(url: str, model: ReadModel, own: Sequence[Recorded]) -> Figure:
    took_s = await _fold(url, _OwnEvents(own), model)
    # Of a few, most of the time goes into the first one.
    target = FLOOR_EVENTS_PER_S if len(own) >= JUDGED_EVENTS_MIN else None
    return Figure(f"{model.name} folded", len(own) / took_s, "events/s", target=target, note=f"of {len(own):,} events")


async def _fold(url: str, feed: Feed, model: ReadModel) -> float:
    async with await connect(url, SCHEMA) as connection:
        await connection.execute("SET synchronous_commit = off")
        folding = Folding(connection, feed, [model])
        await folding.find_positions()
        began_s = time.perf_counter()
        while await folding.advance():
            pass
        assert not folding.failures, folding.failures
        return time.perf_counter() - began_s
