"""Read models folded from the ledger of many customers, and all of it verified."""

import asyncio
import gc
import time
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial

import psycopg

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
from tests.bench import sizes
from tests.bench.figures import Figure, interleaved
from tests.bench.floors import DECODED, FOLDED, READ_BY_COPY, decoded_s, read_by_copy_s, rows_copied_s
from tests.bench.made_up_ledger import made_up_events, put_into
from tests.bench.own_postgres import own_postgres

gc.set_threshold(50_000, 20, 100)  # As the program itself has it.
EVENTS = sizes.events()
EVENTS_PER_ACCOUNT = 1_000
"""A million events are those of a thousand customers who have two VPSs each for ten hours."""
MINUTES_PER_ACCOUNT = 582
ROUNDS = 3
FOLDED_MIN = 0.08
JUDGED_EVENTS_MIN = 5_000
BALANCES_MAX = 3.5
VERIFIED_MAX = 30


async def run() -> list[Figure]:
    """Measure each read model over its own kinds of events, then balances and the audit over all."""
    async with own_postgres() as server:
        return await measure(server.url(SERVICE_ROLE), server.owner_url, EVENTS)


async def measure(service_url: str, owner_url: str, events: int) -> list[Figure]:
    """Fill a fresh, migrated database, and measure in it."""
    lines = made_up_events(max(1, events // EVENTS_PER_ACCOUNT), MINUTES_PER_ACCOUNT)
    count = await asyncio.to_thread(put_into, owner_url, lines)
    figures = []
    async with PostgresEventStore(service_url) as store:
        whole = [event async for batch in store.replay() for event in batch]
        gc.freeze()  # A service does not hold a million events: looking through them is not to be measured.
        for model in READ_MODELS:
            own = [event for event in whole if event.type in model.stored_names]
            if own:
                figures.append(await _fold_own(service_url, owner_url, model, own))
        moving = [event for event in whole if event.type in BALANCES.stored_names]
        decoded_balances_s = await asyncio.to_thread(decoded_s, moving)
        del whole, moving
        gc.unfreeze()

        async def balances_rebuilt() -> float:
            began_s = time.perf_counter()
            await rebuild(owner_url, store, [BALANCES])
            return time.perf_counter() - began_s

        async def copied() -> float:
            return await asyncio.to_thread(read_by_copy_s, owner_url)

        balances_s, copied_s = await interleaved(ROUNDS, balances_rebuilt, copied)
        for model in READ_MODELS:
            await _fold(service_url, store, model)

        async def verified() -> float:
            report = await verify(store, PostgresEvidence(service_url), service_url, READ_MODELS)
            assert report.ok, report
            return report.duration_s

        copied_before_s, verified_s, copied_after_s = await interleaved(1, copied, verified, copied)
        per_million = 1_000_000 / count
        took = partial(Figure, unit="s", at_most=True, note=f"of {count:,} events")
        figures.append(
            took(
                name="a million events folded into balances",
                measured=balances_s * per_million,
                floor=(copied_s + decoded_balances_s) * per_million,
                floor_is=f"{READ_BY_COPY} and {DECODED}",
                target=BALANCES_MAX,
            )
        )
        figures.append(
            took(
                name="audit verify of a million events",
                measured=verified_s * per_million,
                floor=(copied_before_s + copied_after_s) / 2 * per_million,
                floor_is=READ_BY_COPY,
                target=VERIFIED_MAX,
            )
        )
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


async def _fold_own(url: str, owner_url: str, model: ReadModel, own: Sequence[Recorded]) -> Figure:
    async def folded() -> float:
        await asyncio.to_thread(_empty, owner_url, model)
        return len(own) / await _fold(url, _OwnEvents(own), model)

    async def least() -> float:
        rows_s = sum([await asyncio.to_thread(rows_copied_s, owner_url, table) for table in model.tables])
        return len(own) / (rows_s + await asyncio.to_thread(decoded_s, own))

    rate, floor = await interleaved(ROUNDS, folded, least)
    return Figure(
        name=f"{model.name} folded",
        measured=rate,
        unit="events/s",
        floor=floor,
        floor_is=FOLDED,
        # Of a few, most of the time goes into the first one.
        target=FOLDED_MIN if len(own) >= JUDGED_EVENTS_MIN else None,
        note=f"of {len(own):,} events",
    )


def _empty(owner_url: str, model: ReadModel) -> None:
    with psycopg.connect(owner_url) as owner:
        owner.execute(f"SET search_path = {SCHEMA}")
        owner.execute(f"TRUNCATE {', '.join(model.tables)}".encode())
        owner.execute("UPDATE projection SET position = 0 WHERE name = %s", [model.name])


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
