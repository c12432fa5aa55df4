"""The next minute of an account that has been there long."""

import statistics
import time
from collections.abc import Callable

from adapters.embedded_postgres.server import SERVICE_ROLE
from adapters.ids import TimeOrderedIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from api.application.metering import settle_account
from api.application.repository import AggregateRepository
from api.workers import gc_tuning as garbage
from domain.compute.host import host_ref
from domain.ids import AccountId
from domain.wallet.wallet import wallet_ref
from tests.bench.figures import Figure
from tests.bench.made_up_fleet import observe, opened_sealer
from tests.bench.made_up_year import ACCOUNT, ENDS, MINUTES, NEWCOMER, YEAR, made_up_year
from tests.bench.own_postgres import own_postgres

WARM_MINUTES = 300
STARTS = 40
RATIO_MAX = 1.6


async def run() -> list[Figure]:
    """Measure on a PostgreSQL of its own; ``LITEVPS_BENCH_YEAR`` keeps the year for the next time."""
    async with own_postgres("LITEVPS_BENCH_YEAR") as server:
        url = server.url(SERVICE_ROLE)
        async with PostgresEventStore(url) as store, opened_sealer(url) as sealer:
            if await store.head() == 0:
                await made_up_year(url, server.owner_url)
            return await _measure(store, sealer)


async def _measure(store: PostgresEventStore, sealer: AccountSealer) -> list[Figure]:
    garbage.collect_seldom()  # As the service does.

    def started(clock: ManualClock) -> AggregateRepository:
        return AggregateRepository(store, sealer, clock, TimeOrderedIds(), store)

    host = host_ref(YEAR.host_id(0))
    seen = (await started(ManualClock()).load(host)).of(host)
    assert seen is not None
    clock = ManualClock(seen.observed_at or ENDS)
    running = started(clock)
    used_before = await _used_n(running)
    figures = [
        await _minutes("the next minute settled, all in memory", lambda: running, clock, WARM_MINUTES),
        await _minutes("the next minute settled, just after a start", lambda: started(clock), clock, STARTS),
    ]
    used = await _used_n(running) - used_before
    assert used - WARM_MINUTES - STARTS in (0, 1), f"{used} minutes were settled"
    return figures


async def _minutes(
    name: str, aggregates: Callable[[], AggregateRepository], clock: ManualClock, minutes: int
) -> Figure:
    """Let minutes pass one by one; settle each for both accounts, each the first in turn."""
    took_s: dict[AccountId, list[float]] = {ACCOUNT: [], NEWCOMER: []}
    for minute in range(minutes):
        clock.advance(60)
        await observe(aggregates(), YEAR, clock.now())
        for account_id in (ACCOUNT, NEWCOMER) if minute % 2 else (NEWCOMER, ACCOUNT):
            settling = aggregates()
            began_s = time.perf_counter()
            assert await settle_account(settling, account_id)
            took_s[account_id].append(time.perf_counter() - began_s)
    ours, theirs = (statistics.median(took_s[account_id]) * 1000 for account_id in (ACCOUNT, NEWCOMER))
    return Figure(
        name=name,
        measured=ours,
        unit="ms",
        floor=theirs,
        floor_is="the same of an account that has just come",
        target=RATIO_MAX,
        at_most=True,
        note=f"behind {MINUTES * YEAR.vpss_per_account:,} minutes",
    )


async def _used_n(aggregates: AggregateRepository) -> int:
    """Return the last used minute of the first VPS of the account with the year."""
    wallet = wallet_ref(ACCOUNT)
    return (await aggregates.load(wallet)).of(wallet).meters[YEAR.vps_id(0)].used_n
