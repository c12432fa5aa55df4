"""Which closings are open is what the events of accounts and wallets say."""

from uuid import UUID

import pytest

from domain.accounts.events import AccountClosed, AccountErased, ClosingFinished, ErasureFinished
from domain.accounts.ports import OpenClosings
from domain.ids import AccountId, PaymentId, account_stream, wallet_stream
from domain.money import ZERO, MicroUsd
from domain.wallet.events import FundsAdded, FundsReturned, ReturnedCause
from projections.closings import CLOSINGS, TabledOpenClosings
from projections.reading import ReadModels
from tests.projections.history import History

pytestmark = pytest.mark.anyio

PAYMENT = PaymentId(UUID(int=5))
TEN = MicroUsd(10_000_000)


@pytest.fixture
async def open_closings(followed: ReadModels) -> OpenClosings:
    return TabledOpenClosings(followed)


@pytest.fixture
async def ada(history: History) -> AccountId:
    """Somebody whose closing is finished, beside somebody who closed nothing."""
    ada, bob = await history.registered(), await history.registered()
    await history.record(bob, (wallet_stream(bob), FundsAdded(bob, PAYMENT, TEN)))
    await close(history, ada)
    await history.record(ada, (account_stream(ada), ClosingFinished(ada, ZERO, at=history.clock.now())))
    return ada


async def close(history: History, account_id: AccountId) -> None:
    await history.record(account_id, (account_stream(account_id), AccountClosed(account_id, at=history.clock.now())))


async def found(history: History, followed: ReadModels, open_closings: OpenClosings) -> list[AccountId]:
    await followed.caught_up(await history.store.head(), CLOSINGS)
    return list(await open_closings.open_closings(None, 10))


@pytest.mark.usefixtures("ada")
async def test_a_closing_is_open_until_it_is_finished(
    history: History, followed: ReadModels, open_closings: OpenClosings
) -> None:
    cleo, dan = await history.registered(), await history.registered()
    await close(history, dan)
    await close(history, cleo)

    first, second = sorted([cleo, dan])
    assert await found(history, followed, open_closings) == [first, second]
    assert list(await open_closings.open_closings(None, 1)) == [first]
    assert list(await open_closings.open_closings(first, 1)) == [second]
    assert list(await open_closings.open_closings(second, 1)) == []


async def test_a_payment_that_comes_in_later_opens_it_again(
    history: History, followed: ReadModels, open_closings: OpenClosings, ada: AccountId
) -> None:
    await history.record(ada, (wallet_stream(ada), FundsAdded(ada, PAYMENT, TEN)))

    assert await found(history, followed, open_closings) == [ada]


@pytest.mark.parametrize(("cause", "opened"), [("dispute-won", 1), ("refund-failed", 0)])
async def test_a_dispute_that_is_won_later_opens_it_again_and_a_refund_that_fails_does_not(
    history: History,
    followed: ReadModels,
    open_closings: OpenClosings,
    ada: AccountId,
    cause: ReturnedCause,
    opened: int,
) -> None:
    await history.record(ada, (wallet_stream(ada), FundsReturned(ada, PAYMENT, cause, "dp_1", TEN, ZERO)))

    assert await found(history, followed, open_closings) == [ada] * opened


async def test_an_erasure_is_open_until_it_is_finished(
    history: History, followed: ReadModels, open_closings: OpenClosings, ada: AccountId
) -> None:
    bob = await history.registered()
    await close(history, bob)

    async def told() -> tuple[list[AccountId], list[AccountId]]:
        await followed.caught_up(await history.store.head(), CLOSINGS)
        closed, open_ = await open_closings.closed_accounts(None, 10), await open_closings.open_erasures(None, 10)
        return list(closed), list(open_)

    assert await told() == (sorted([ada, bob]), [])
    assert list(await open_closings.closed_accounts(min(ada, bob), 10)) == [max(ada, bob)]
    await history.record(ada, (account_stream(ada), AccountErased(ada, "requested", at=history.clock.now())))
    assert await told() == ([bob], [ada])
    await history.record(ada, (account_stream(ada), ErasureFinished(ada, at=history.clock.now())))
    assert await told() == ([bob], [])
