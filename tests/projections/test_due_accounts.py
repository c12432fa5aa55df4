"""What accounts have minutes to come."""

from collections.abc import AsyncIterator

import pytest

from domain.events import Event
from domain.ids import AccountId, VpsId, wallet_stream
from domain.time import MINUTE, Instant
from domain.wallet.events import MeterClosed, MinutesWaived, VpsReleased
from domain.wallet.ports import DueAccounts
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.meters import METERS, TabledDueAccounts
from projections.reading import ReadModels
from projections.runner import Folding, connect
from tests.projections.history import History

pytestmark = pytest.mark.anyio


class Due:
    """Asks after everything recorded so far was taken in."""

    def __init__(self, history: History, accounts: DueAccounts, folding: Folding) -> None:
        self._history, self._accounts, self._folding = history, accounts, folding

    async def at(self, minutes: float, after: AccountId | None = None, limit: int = 100) -> list[AccountId]:
        while await self._folding.advance():
            pass
        now = Instant(self._history.clock.now() + round(minutes * MINUTE))
        return list(await self._accounts.due_accounts(now, after, limit))


@pytest.fixture
async def due(database_url: str, history: History) -> AsyncIterator[Due]:
    """Give what knows of minutes to come."""
    reading = ReadModels(database_url)
    await reading.open()
    async with await connect(database_url, SCHEMA) as connection:
        folding = Folding(connection, history.store, [model for model in READ_MODELS if model is METERS])
        await folding.find_positions()
        yield Due(history, TabledDueAccounts(reading), folding)
    await reading.close()


async def running(history: History) -> tuple[AccountId, VpsId]:
    """Record an account with a VPS that runs from now on."""
    account_id = await history.registered(micros=1_000_000)
    vps_id = await history.vps_requested(account_id)
    await history.vps_running(account_id, vps_id)
    return account_id, vps_id


async def recorded(history: History, account_id: AccountId, *events: Event) -> None:
    await history.record(account_id, *((wallet_stream(account_id), event) for event in events))


async def test_nothing_is_to_come_of_a_vps_that_boots(history: History, due: Due) -> None:
    await history.vps_requested(await history.registered(micros=1_000_000))

    assert await due.at(minutes=99) == []


async def test_a_minute_is_due_at_the_first_login_and_sixty_seconds_after_each(history: History, due: Due) -> None:
    account_id, vps_id = await running(history)

    assert await due.at(minutes=-0.001) == []
    assert await due.at(minutes=0) == [account_id]
    await history.minutes_metered(account_id, vps_id, 1, 3)
    assert await due.at(minutes=2.999) == []
    assert await due.at(minutes=3) == [account_id]


async def test_nothing_is_due_after_the_release_but_what_began_before(history: History, due: Due) -> None:
    account_id, vps_id = await running(history)
    released = VpsReleased(vps_id, 1, Instant(history.clock.now() + 2 * MINUTE), "stop")
    await recorded(history, account_id, released)

    assert await due.at(minutes=9) == [account_id]
    await history.minutes_metered(account_id, vps_id, 1, 2)
    assert await due.at(minutes=9) == []


async def test_nothing_is_due_once_it_is_off(history: History, due: Due) -> None:
    account_id, vps_id = await running(history)
    assert await due.at(minutes=9) == [account_id]

    await recorded(history, account_id, MeterClosed(vps_id, 1, history.clock.now()))

    assert await due.at(minutes=9) == []


async def test_a_vps_that_is_gone_is_forgotten(history: History, due: Due) -> None:
    account_id, vps_id = await running(history)
    now = history.clock.now()
    assert await due.at(minutes=9) == [account_id]

    await recorded(
        history,
        account_id,
        VpsReleased(vps_id, 1, now, "delete"),
        MinutesWaived(account_id, "unproven", ()),
        MeterClosed(vps_id, 1, now),
    )

    assert await due.at(minutes=9) == []


async def test_accounts_are_paged_through_by_their_ids(history: History, due: Due) -> None:
    accounts = sorted([(await running(history))[0] for _ in range(5)])

    first = await due.at(minutes=1, limit=2)
    rest = await due.at(minutes=1, after=first[-1], limit=9)

    assert [*first, *rest] == accounts
