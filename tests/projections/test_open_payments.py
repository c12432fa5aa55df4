"""What is open of payments is what their events say, also where a property folds them in memory."""

from uuid import UUID

import pytest

from domain.events import Event
from domain.ids import (
    AccountId,
    PaymentId,
    RefundId,
    payment_stream,
    stripe_event_stream,
    stripe_transaction_stream,
)
from domain.money import ZERO, MicroUsd
from domain.payments import events
from domain.payments.work import REQUEST_GRACE, OpenPayments, RefundStatus
from domain.time import HOUR, Instant
from projections.payments import PAYMENTS, TabledPayments
from projections.reading import ReadModels
from tests.projections.history import History
from tests.properties.open_payments import MemoryOpenPayments

pytestmark = pytest.mark.anyio

REQUESTED, OPEN, RECEIVED, REFUNDED, DISPUTED, FAILED = (PaymentId(UUID(int=k)) for k in range(1, 7))
REFUND = RefundId(UUID(int=99))
TEN, FOUR = MicroUsd(10_000_000), MicroUsd(4_000_000)
ASKED = Instant(1_000_000)
EXPIRES = Instant(ASKED + HOUR)
LATER = Instant(ASKED + 2 * HOUR)


@pytest.fixture
async def ada(history: History) -> AccountId:
    ada, bob = await history.registered(), await history.registered()
    received = {payment_id: _received(ada, payment_id) for payment_id in (RECEIVED, REFUNDED, DISPUTED)}
    await _record(history, ada, REQUESTED)
    await _record(history, ada, OPEN, _opened(ada, OPEN))
    await _record(history, ada, RECEIVED, _opened(ada, RECEIVED), received[RECEIVED])
    refund = events.RefundRequested(ada, REFUNDED, REFUND, FOUR, "requested")
    outside = events.OutsideRefundFound(ada, REFUNDED, "re_1", MicroUsd(6_000_000), ZERO, ZERO)
    settled = events.RefundSettled(ada, REFUNDED, "re_1", MicroUsd(6_000_000))
    await _record(history, ada, REFUNDED, received[REFUNDED], refund, outside, settled)
    disputed = events.DisputeOpened(ada, DISPUTED, "dp_1", FOUR, ZERO, ZERO, False)
    await _record(history, ada, DISPUTED, received[DISPUTED], disputed)
    await _record(history, bob, FAILED, events.CheckoutFailed(bob, FAILED, "refused"))
    for number in (1, 2, 3):
        told = events.StripeEventReceived(ada, f"evt_{number}", "charge.refunded", "{}", ASKED)
        await history.record(ada, (stripe_event_stream(told.stripe_event_id), told))
        kind: events.TransactionKind = "charge" if number < 3 else "refund"
        moved = events.StripeBalanceMoved(
            f"txn_{number}", kind, None, TEN, ZERO, Instant(ASKED + number), ASKED, number == 3
        )
        await history.record(ada, (stripe_transaction_stream(moved.transaction_id), moved))
    await history.record(ada, (stripe_event_stream("evt_2"), events.StripeEventApplied("evt_2", None)))
    available = events.StripeFundsAvailable("txn_1", TEN)
    await history.record(ada, (stripe_transaction_stream("txn_1"), available))
    return ada


@pytest.fixture(params=["memory", "tables"])
async def open_payments(
    request: pytest.FixtureRequest, history: History, followed: ReadModels, ada: AccountId
) -> OpenPayments:
    if request.param == "memory":
        return MemoryOpenPayments(history.store)
    await followed.caught_up(await history.store.head(), PAYMENTS)
    return TabledPayments(followed, history.store)


async def test_events_that_came_in_and_are_not_applied_are_pending_the_oldest_first(
    open_payments: OpenPayments,
) -> None:
    assert list(await open_payments.pending_events(None, 10)) == ["evt_1", "evt_3"]
    assert list(await open_payments.pending_events(None, 1)) == ["evt_1"]
    assert list(await open_payments.pending_events("evt_1", 1)) == ["evt_3"]
    assert list(await open_payments.pending_events("evt_3", 1)) == []


async def test_payments_of_which_stripe_is_still_to_tell_are_due_in_time(open_payments: OpenPayments) -> None:
    assert list(await open_payments.due_payments(ASKED, None, 10)) == [REFUNDED, DISPUTED]
    soon = Instant(ASKED + REQUEST_GRACE)
    assert list(await open_payments.due_payments(soon, None, 10)) == [REQUESTED, REFUNDED, DISPUTED]
    assert list(await open_payments.due_payments(EXPIRES, None, 10)) == [REQUESTED, REFUNDED, DISPUTED]
    assert list(await open_payments.due_payments(LATER, None, 10)) == [REQUESTED, OPEN, REFUNDED, DISPUTED]


async def test_due_payments_are_told_a_page_at_a_time(open_payments: OpenPayments) -> None:
    assert list(await open_payments.due_payments(LATER, None, 2)) == [REQUESTED, OPEN]
    assert list(await open_payments.due_payments(LATER, OPEN, 2)) == [REFUNDED, DISPUTED]
    assert list(await open_payments.due_payments(LATER, DISPUTED, 2)) == []


async def test_transactions_that_should_be_available_and_are_not_known_to_be_are_due(
    open_payments: OpenPayments,
) -> None:
    assert list(await open_payments.due_transactions(Instant(ASKED + 1), None, 10)) == []
    assert list(await open_payments.due_transactions(LATER, None, 10)) == ["txn_2"]
    assert list(await open_payments.due_transactions(LATER, "txn_1", 10)) == ["txn_2"]
    assert list(await open_payments.due_transactions(LATER, "txn_2", 10)) == []


async def test_what_of_an_account_can_be_refunded_or_paid_is_told(open_payments: OpenPayments, ada: AccountId) -> None:
    assert list(await open_payments.refundable_payments(ada)) == [RECEIVED, DISPUTED]
    assert list(await open_payments.open_payments(ada)) == [REQUESTED, OPEN]
    assert list(await open_payments.open_payments(AccountId(UUID(int=404)))) == []


async def test_refunds_are_told_newest_first_in_their_present_state(
    open_payments: OpenPayments, history: History, ada: AccountId
) -> None:
    told = await open_payments.refunds(ada)
    at = history.clock.now()
    assert list(told) == [
        RefundStatus("re_1", REFUNDED, MicroUsd(6_000_000), "settled", at, ZERO),
        RefundStatus(str(REFUND), REFUNDED, FOUR, "requested", at, ZERO),
    ]
    assert await open_payments.refunds(AccountId(UUID(int=404))) == []


async def _record(history: History, account_id: AccountId, payment_id: PaymentId, *more: Event) -> None:
    for event in (events.CheckoutRequested(account_id, payment_id, TEN, ASKED), *more):
        await history.record(account_id, (payment_stream(payment_id), event))


def _opened(account_id: AccountId, payment_id: PaymentId) -> Event:
    return events.CheckoutOpened(account_id, payment_id, f"cs_{payment_id.int}", "https://pay.test", EXPIRES)


def _received(account_id: AccountId, payment_id: PaymentId) -> Event:
    number = payment_id.int
    return events.PaymentReceived(account_id, payment_id, f"cs_{number}", f"pi_{number}", f"ch_{number}", TEN)
