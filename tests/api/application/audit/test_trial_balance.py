"""The trial balance is zero at every position, and tells what of the prepaid liability is deferred revenue."""

from collections.abc import AsyncIterator, Sequence

import pytest

from api.application.audit.trial_balance import TrialBalance, trial_balance
from domain.books import chart
from domain.books.deferred import PrepaidParts
from domain.money import MicroUsd
from domain.ports import Recorded
from projections.reading import ReadModels
from projections.totals import TOTALS, totals
from tests.api.application.audit.ledgers import NOVEMBER, recorded
from tests.api.application.audit.test_money import SOUND
from tests.domain.wallet.wallets import ACCOUNT
from tests.projections.conftest import followed, history, read_models
from tests.projections.history import History

pytestmark = pytest.mark.anyio
__all__ = ("followed", "history", "read_models")


class Kept:
    """Events kept in a list, given out a few at a time."""

    def __init__(self, events: Sequence[Recorded]) -> None:
        self._events = events

    async def replay(self, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """Yield all events past a position."""
        for first in range(after, len(self._events), 3):
            yield list(self._events[first : first + 3])

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        """Return some events."""
        return list(self._events[after : after + limit])

    async def head(self) -> int:
        """Return the last position."""
        return len(self._events)

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Return the last position."""
        return len(self._events)


ARCHIVE = Kept(recorded(SOUND))


async def test_it_is_zero_at_every_position() -> None:
    for position in range(len(SOUND) + 1):
        balance = await trial_balance(ARCHIVE, position=position)
        assert (balance.total, balance.position) == (0, position)
        prepaid = balance.accounts.get(chart.prepaid(ACCOUNT), 0)
        assert balance.prepaid.deferred_revenue + balance.prepaid.goodwill == -prepaid


async def test_what_was_given_is_no_deferred_revenue() -> None:
    balance = await trial_balance(ARCHIVE, position=5)

    # Paid 10,000; given 1,000, of which a minute took 70.
    assert balance.prepaid == PrepaidParts(MicroUsd(10_000), MicroUsd(930))
    assert balance.accounts[chart.prepaid(ACCOUNT)] == -10_930
    assert balance.accounts[chart.CLEARING] == 10_000


async def test_it_is_told_as_of_an_instant() -> None:
    over = await trial_balance(ARCHIVE, before=NOVEMBER.ends)
    later = await trial_balance(ARCHIVE, before=NOVEMBER.following.ends)

    assert chart.tax("VAT") not in over.accounts
    assert later.accounts[chart.tax("VAT")] == -11
    assert over.recorded_at < NOVEMBER.ends <= later.recorded_at
    assert await trial_balance(ARCHIVE) == await trial_balance(ARCHIVE, position=len(SOUND))


async def test_before_anything_it_is_empty() -> None:
    balance = await trial_balance(ARCHIVE, position=0)

    assert balance == TrialBalance(0, balance.recorded_at, {}, PrepaidParts(MicroUsd(0), MicroUsd(0)))


async def test_at_the_head_it_is_what_the_read_model_adds_up(history: History, followed: ReadModels) -> None:
    for micros in (1_000_000, 2_000_000):
        account_id = await history.registered(micros)
        vps_id = await history.vps_requested(account_id)
        await history.vps_running(account_id, vps_id)
        await history.minutes_metered(account_id, vps_id, 1, 5)
        await history.money_moved(account_id)
    events = await history.store.read_feed(0, 10_000)
    async with followed.at(len(events), TOTALS) as connection:
        assert (await trial_balance(Kept(events))).accounts == await totals(connection)
