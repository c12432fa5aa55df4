"""Open payments in thousands of cases: found by folding the feed in memory."""

from collections.abc import Sequence

from domain.codec import decode
from domain.ids import AccountId, PaymentId, StreamId
from domain.payments import events
from domain.payments.payment import FOLD, Payment
from domain.payments.work import RefundStatus, look_at
from domain.ports import EventStore
from domain.time import Instant

_BATCH = 10_000


class MemoryOpenPayments:
    """Implements ``domain.payments.work.OpenPayments``."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._payments: dict[StreamId, Payment] = {}
        self._refunds: dict[tuple[PaymentId, str], Instant] = {}
        self._events: dict[str, None] = {}
        self._transactions: dict[str, Instant] = {}

    async def pending_events(self, after: str | None, limit: int) -> Sequence[str]:
        """Return events that came in and are not applied; see ``OpenPayments.pending_events``."""
        await self._catch_up()
        return sorted(stripe_event_id for stripe_event_id in self._events if stripe_event_id > (after or ""))[:limit]

    async def due_payments(self, now: Instant, after: PaymentId | None, limit: int) -> Sequence[PaymentId]:
        """Return payments to be looked at; see ``OpenPayments.due_payments``."""
        await self._catch_up()
        due = sorted(
            payment.payment_id
            for payment in self._payments.values()
            if (at := look_at(payment)) is not None and at <= now
        )
        return [payment_id for payment_id in due if after is None or payment_id > after][:limit]

    async def due_transactions(self, now: Instant, after: str | None, limit: int) -> Sequence[str]:
        """Return balance transactions that should be available; see ``OpenPayments.due_transactions``."""
        await self._catch_up()
        due = (transaction_id for transaction_id, at in self._transactions.items() if at <= now)
        return sorted(transaction_id for transaction_id in due if transaction_id > (after or ""))[:limit]

    async def refundable_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that did not go back wholly; see ``OpenPayments.refundable_payments``."""
        return [one.payment_id for one in await self._of(account_id) if one.state == "received" and one.left]

    async def open_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that may still be paid; see ``OpenPayments.open_payments``."""
        return [one.payment_id for one in await self._of(account_id) if one.state in ("requested", "open")]

    async def awaiting_stripe(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments that are not over; see ``OpenPayments.awaiting_stripe``."""
        return [one.payment_id for one in await self._of(account_id) if one.awaits_stripe]

    async def refunds(self, account_id: AccountId) -> Sequence[RefundStatus]:
        """Return the refunds of an account; see ``OpenPayments.refunds``."""
        payments = {payment.payment_id: payment for payment in await self._of(account_id)}
        return [
            RefundStatus(key, payment_id, refund.amount, refund.state, at, refund.fee)
            for (payment_id, key), at in reversed(self._refunds.items())
            if payment_id in payments
            for refund in [payments[payment_id].refunds[key]]
        ]

    async def _of(self, account_id: AccountId) -> list[Payment]:
        await self._catch_up()
        return [payment for payment in self._payments.values() if payment.account_id == account_id]

    async def _catch_up(self) -> None:
        while batch := await self._store.read_feed(self._position, _BATCH):
            for recorded in batch:
                event = decode(recorded)
                match event:
                    case events.StripeEventReceived():
                        self._events[event.stripe_event_id] = None
                    case events.StripeEventApplied():
                        self._events.pop(event.stripe_event_id, None)
                    case events.StripeBalanceMoved(is_available=False):
                        self._transactions[event.transaction_id] = event.available_at
                    case events.StripeFundsAvailable():
                        self._transactions.pop(event.transaction_id, None)
                payment = FOLD.evolve(self._payments.get(recorded.stream), event)
                if payment is not None:
                    self._payments[recorded.stream] = payment
                    for key in payment.refunds:
                        self._refunds.setdefault((payment.payment_id, key), recorded.happened_at)
            self._position = batch[-1].position
