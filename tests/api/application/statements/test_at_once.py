"""Several processes that issue statements at once give each account one number, and leave none out."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.simulated.host import SimulatedHost
from api.application.statements.issuing import issue_due
from domain.ids import HostId
from domain.statements.month import month_of
from domain.time import MINUTE, seconds
from tests.api.houses import ROOMY, running_runtime
from tests.projections.history import History
from tests.storage import OpenStorage, another_storage

pytestmark = pytest.mark.anyio

ACCOUNTS, PROCESSES = 12, 3


async def test_each_account_gets_one_number_and_no_number_is_left_out(open_storage: OpenStorage) -> None:
    clock = ManualClock()
    storage, host = await open_storage(clock), SimulatedHost(HostId(uuid4()), clock)
    async with AsyncExitStack() as stack:
        storages = [await stack.enter_async_context(another_storage(storage.database_url)) for _ in range(PROCESSES)]
        processes = [await stack.enter_async_context(running_runtime(one, ROOMY, clock, host)) for one in storages]
        sealer = processes[0].sealer
        assert isinstance(sealer, AccountSealer)
        history = History(storage.store, sealer)
        account_ids = {await history.registered(micros=5) for _ in range(ACCOUNTS)}
        month = month_of(clock.now())
        clock.advance((month.ends + 2 * MINUTE - clock.now()) / seconds(1))

        await asyncio.gather(*(issue_due(runtime) for runtime in processes))

        issued = [one for account_id in account_ids for one in await processes[0].statements.issued(account_id)]
        numbers = sorted(one.statement.number for one in issued)
        assert numbers == [f"{month}-{number:06d}" for number in range(1, ACCOUNTS + 1)]
        assert {one.statement.account_id for one in issued} == account_ids
