"""Several processes that issue statements at once give each account one number, and leave none out."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import msgspec
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.simulated.clock import ManualClock
from adapters.simulated.host import SimulatedHost
from api.application.repository import AggregateRepository
from api.application.runtime import Runtime
from api.application.statements.folded import FoldedStatements
from api.application.statements.issuing import issue_due
from domain.ids import HostId
from domain.statements.month import month_of
from domain.time import MINUTE, Instant
from tests.api.houses import ROOMY, memory_runtime
from tests.projections.history import History

pytestmark = pytest.mark.anyio

ACCOUNTS, PROCESSES = 12, 3


async def test_each_account_gets_one_number_and_no_number_is_left_out(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(PostgresEventStore(database_url)) for _ in range(PROCESSES)]
        history = History(stores[0])
        account_ids = {await history.registered(micros=5) for _ in range(ACCOUNTS)}
        [last] = await stores[0].read_feed(await stores[0].head() - 1, 1)
        month = month_of(last.recorded_at)
        # The database's clock cannot be moved, so the services believe that it is next month already.
        clock = ManualClock(Instant(month.ends + 2 * MINUTE))
        processes = [process(store, history, clock) for store in stores]

        await asyncio.gather(*(issue_due(runtime) for runtime in processes))

        issued = [one for account_id in account_ids for one in await processes[0].statements.issued(account_id)]
        numbers = sorted(one.statement.number for one in issued)
        assert numbers == [f"{month}-{number:06d}" for number in range(1, ACCOUNTS + 1)]
        assert {one.statement.account_id for one in issued} == account_ids


def process(store: PostgresEventStore, history: History, clock: ManualClock) -> Runtime:
    """Return what a process of the service would have on this store."""
    runtime = memory_runtime(ROOMY, clock, SimulatedHost(HostId(uuid4()), clock))
    return msgspec.structs.replace(
        runtime,
        store=store,
        aggregates=AggregateRepository(store, history.sealer, clock, runtime.ids, store),
        statements=FoldedStatements(store, history.sealer),
    )
