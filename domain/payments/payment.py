"""A payment: one Checkout from its request on, and everything that goes back of it."""

from typing import Literal

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.events import Event
from domain.ids import AccountId, PaymentId, RefundId, payment_stream
from domain.money import ZERO, MicroUsd
from domain.payments.events import (
    CheckoutExpired,
    CheckoutFailed,
    CheckoutOpened,
    CheckoutRequested,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    InquiryClosed,
    OutsideRefundFound,
    PaymentMismatched,
    PaymentReceived,
    RefundFailed,
    RefundFeeKept,
    RefundOpened,
    RefundRequested,
    RefundSettled,
)
from domain.time import Instant
from domain.wallet.paid_in import Part

PaymentState = Literal["requested", "open", "received", "expired", "failed", "mismatched"]
RefundState = Literal["requested", "open", "settled", "failed"]
DisputeState = Literal["inquiry", "inquiry-closed", "open", "won", "lost"]


class Refund(msgspec.Struct, frozen=True):
    """A part of a payment that goes back, or would have: asked for here, or made in Stripe's dashboard."""

    key: str
    """Our id as text, or Stripe's where it was not asked for here: as in the wallet's ``FundsTaken``."""
    amount: MicroUsd
    state: RefundState
    refund_id: RefundId | None = None
    stripe_refund_id: str | None = None
    fee: MicroUsd = ZERO
    """What is kept beside the amount, since Stripe keeps it of the payment."""

    @property
    def stands(self) -> bool:
        """Whether its amount is gone, or about to go."""
        return self.state != "failed"

    @property
    def gone(self) -> MicroUsd:
        """What the wallet was charged with."""
        return MicroUsd(self.amount + self.fee)


class Dispute(msgspec.Struct, frozen=True):
    """A payer's bank that asks about a payment, or wants it back."""

    dispute_id: str
    amount: MicroUsd
    state: DisputeState

    @property
    def stands(self) -> bool:
        """Whether Stripe has taken its amount and not given it back."""
        return self.state in ("open", "lost")

    @property
    def pending(self) -> bool:
        """Whether the bank is still to decide."""
        return self.state in ("inquiry", "open")


class Payment(msgspec.Struct, frozen=True):
    """What is recorded of one payment; amounts in micro-USD.

    Of what goes back, only sums are remembered: what the customer bears of it is ``min(credited, gone)``
    whatever came first, so it cannot matter in which order Stripe tells of refunds and disputes.
    """

    payment_id: PaymentId
    account_id: AccountId
    amount: MicroUsd
    """What was asked for."""
    requested_at: Instant
    state: PaymentState = "requested"
    session_id: str | None = None
    url: str | None = None
    expires_at: Instant | None = None
    payment_intent_id: str | None = None
    charge_id: str | None = None
    credited: MicroUsd = ZERO
    """What it added to the wallet."""
    mismatched: bool = False
    """Whether Stripe told of something else than was asked for; after the receipt it changes no more than this."""
    refunds: dict[str, Refund] = {}
    """By ``key``, in the order in which they became known."""
    disputes: dict[str, Dispute] = {}
    """By Stripe's id."""
    owed: MicroUsd = ZERO
    """Of what is clawed back, what the balance did not cover when Stripe took it."""
    goodwill: MicroUsd = ZERO
    """Of what is clawed back, what came out of the part of the balance that was given."""

    @property
    def gone(self) -> MicroUsd:
        """What has gone back, or is about to: refunds that did not fail, disputes that are open or lost."""
        refunds = sum(refund.gone for refund in self.refunds.values() if refund.stands)
        return MicroUsd(refunds + sum(dispute.amount for dispute in self.disputes.values() if dispute.stands))

    @property
    def clawed(self) -> MicroUsd:
        """What of that the customer bears: never more than this payment added."""
        return min(self.credited, self.gone)

    @property
    def left(self) -> MicroUsd:
        """What can still be taken back of what this payment added."""
        return MicroUsd(self.credited - self.clawed)

    @property
    def awaits_stripe(self) -> bool:
        """Whether Stripe is still to tell how something of it ends."""
        return (
            self.state in ("requested", "open")
            or any(refund.state in ("requested", "open") for refund in self.refunds.values())
            or any(dispute.pending for dispute in self.disputes.values())
        )

    def returned(self, amount: MicroUsd) -> Part:
        """Return how a part that comes back after all is undone: what the balance lacked first, then gifts."""
        clawed = MicroUsd(self.clawed - min(self.credited, self.gone - amount))
        owed = min(self.owed, clawed)
        taken = MicroUsd(clawed - owed)
        return Part(taken, owed, MicroUsd(amount - clawed), min(self.goodwill, taken))


def evolve(payment: Payment | None, event: Event) -> Payment | None:
    """Return the payment after an event."""
    if isinstance(event, CheckoutRequested):
        return Payment(event.payment_id, event.account_id, event.amount, event.at)
    if payment is None:
        return None
    replace = msgspec.structs.replace
    match event:
        case CheckoutOpened():
            opened = {"session_id": event.session_id, "url": event.url, "expires_at": event.expires_at}
            return replace(payment, state="open", **opened)
        case CheckoutExpired():
            return replace(payment, state="expired")
        case CheckoutFailed():
            return replace(payment, state="failed")
        case PaymentMismatched():
            state = payment.state if payment.state == "received" else "mismatched"
            return replace(payment, state=state, mismatched=True)
        case PaymentReceived():
            return replace(
                payment,
                state="received",
                session_id=event.session_id,
                payment_intent_id=event.payment_intent_id,
                charge_id=event.charge_id,
                credited=event.amount,
            )
        case RefundRequested() | RefundOpened() | OutsideRefundFound() | RefundSettled() | RefundFailed():
            return _with_refund(payment, event)
        case RefundFeeKept():
            key = str(event.refund_id)
            refund = replace(payment.refunds[key], fee=event.amount)
            return replace(payment, refunds={**payment.refunds, key: refund})
        case DisputeOpened() | DisputeWon() | DisputeLost() | InquiryClosed():
            return _with_dispute(payment, event)
        case _:
            return payment


FOLD: Fold[Payment | None] = Fold(initial=None, evolve=evolve)


def payment_ref(payment_id: PaymentId) -> AggregateRef[Payment | None]:
    """Return the reference of a payment; it is None while nothing was asked for."""
    return AggregateRef(payment_stream(payment_id), FOLD)


def _with_refund(
    payment: Payment, event: RefundRequested | RefundOpened | OutsideRefundFound | RefundSettled | RefundFailed
) -> Payment:
    replace = msgspec.structs.replace
    match event:
        case RefundRequested():
            key = str(event.refund_id)
            refund = Refund(key, event.amount, "requested", refund_id=event.refund_id)
        case RefundOpened():
            known = payment.refunds[str(event.refund_id)]
            refund = replace(known, state="open", stripe_refund_id=event.stripe_refund_id)
        case OutsideRefundFound():
            payment = _borne(payment, event.owed, event.goodwill)
            refund = Refund(event.stripe_refund_id, event.amount, "open", stripe_refund_id=event.stripe_refund_id)
        case RefundSettled():
            refund = replace(payment.refunds[event.key], state="settled")
        case RefundFailed():
            refund = payment.refunds[event.key]
            payment = _undone(payment, refund.gone)
            refund = replace(refund, state="failed")
    return replace(payment, refunds={**payment.refunds, refund.key: refund})


def _with_dispute(payment: Payment, event: DisputeOpened | DisputeWon | DisputeLost | InquiryClosed) -> Payment:
    replace = msgspec.structs.replace
    match event:
        case DisputeOpened():
            payment = _borne(payment, event.owed, event.goodwill)
            dispute = Dispute(event.dispute_id, event.amount, "inquiry" if event.inquiry else "open")
        case DisputeWon():
            known = payment.disputes.get(event.dispute_id)
            if known is not None and known.stands:
                payment = _undone(payment, event.amount)
            dispute = Dispute(event.dispute_id, event.amount, "won")
        case DisputeLost():
            dispute = replace(payment.disputes[event.dispute_id], state="lost")
        case InquiryClosed():
            dispute = replace(payment.disputes[event.dispute_id], state="inquiry-closed")
    return replace(payment, disputes={**payment.disputes, dispute.dispute_id: dispute})


def _borne(payment: Payment, owed: MicroUsd, goodwill: MicroUsd) -> Payment:
    sums = {"owed": MicroUsd(payment.owed + owed), "goodwill": MicroUsd(payment.goodwill + goodwill)}
    return msgspec.structs.replace(payment, **sums)


def _undone(payment: Payment, amount: MicroUsd) -> Payment:
    part = payment.returned(amount)
    return _borne(payment, MicroUsd(-part.owed), MicroUsd(-part.goodwill))
