"""What is recorded of payments: their Checkout, their receipt, refunds, disputes, and what Stripe tells of its side."""

from typing import Literal

from domain.events import Event, Personal
from domain.ids import AccountId, PaymentId, RefundId
from domain.money import MicroUsd
from domain.time import Instant

RefundCause = Literal["requested", "closure"]
FailureCause = Literal["refused", "declined"]
"""``refused``: Stripe would not open the Checkout; ``declined``: the payer's bank did not pay."""

TransactionKind = Literal[
    "charge", "refund", "refund-failure", "dispute", "dispute-reversal", "payout", "payout-failure", "fee", "other"
]


class CheckoutRequested(Event, frozen=True, tag="payments.checkout-requested.v1"):
    """An account wants to add funds; nothing has been asked of Stripe yet."""

    account_id: AccountId
    payment_id: PaymentId
    amount: MicroUsd
    at: Instant


class CheckoutOpened(Event, frozen=True, tag="payments.checkout-opened.v1"):
    """Stripe has a Checkout Session for it, at which the customer can pay until it expires."""

    account_id: AccountId
    payment_id: PaymentId
    session_id: str
    url: Personal
    expires_at: Instant


class CheckoutExpired(Event, frozen=True, tag="payments.checkout-expired.v1"):
    """Nobody paid in time."""

    account_id: AccountId
    payment_id: PaymentId


class CheckoutFailed(Event, frozen=True, tag="payments.checkout-failed.v1"):
    """Nothing will be paid by this Checkout."""

    account_id: AccountId
    payment_id: PaymentId
    cause: FailureCause


class PaymentReceived(Event, frozen=True, tag="payments.payment-received.v1"):
    """Stripe has the money; the wallet is credited in the same append."""

    account_id: AccountId
    payment_id: PaymentId
    session_id: str
    payment_intent_id: str
    charge_id: str
    amount: MicroUsd


class PaymentMismatched(Event, frozen=True, tag="payments.payment-mismatched.v1"):
    """What Stripe tells of a payment is not what was asked for; nothing is credited, somebody has to look."""

    account_id: AccountId
    payment_id: PaymentId
    field: str
    """The first that differs: ``mode``, ``currency``, ``amount``, ``payment``, ``account`` or ``session``."""
    expected: str
    seen: str


class RefundRequested(Event, frozen=True, tag="payments.refund-requested.v1"):
    """A part of a payment is to go back; the wallet is charged with it in the same append."""

    account_id: AccountId
    payment_id: PaymentId
    refund_id: RefundId
    amount: MicroUsd
    cause: RefundCause


class RefundFeeKept(Event, frozen=True, tag="payments.refund-fee-kept.v1"):
    """Of what the wallet was charged for a refund, this much does not go back: Stripe keeps its fee of the payment."""

    account_id: AccountId
    payment_id: PaymentId
    refund_id: RefundId
    amount: MicroUsd


class RefundFeeForgone(Event, frozen=True, tag="payments.refund-fee-forgone.v1"):
    """A refund failed, so nothing is kept of it either: the wallet has all of it back."""

    account_id: AccountId
    payment_id: PaymentId
    refund_id: RefundId
    amount: MicroUsd


class RefundOpened(Event, frozen=True, tag="payments.refund-opened.v1"):
    """Stripe has a refund that was requested here."""

    account_id: AccountId
    payment_id: PaymentId
    refund_id: RefundId
    stripe_refund_id: str


class OutsideRefundFound(Event, frozen=True, tag="payments.outside-refund-found.v1"):
    """Somebody made a refund in Stripe's dashboard; the wallet is charged with it in the same append."""

    account_id: AccountId
    payment_id: PaymentId
    stripe_refund_id: str
    amount: MicroUsd
    owed: MicroUsd
    """What of it the balance did not cover, as in the wallet's ``FundsTaken``."""
    goodwill: MicroUsd
    """What of it came out of the part of the balance that was given, as in the wallet's ``FundsTaken``."""


class RefundSettled(Event, frozen=True, tag="payments.refund-settled.v1"):
    """Stripe has paid a refund out; ``key`` is as in the wallet's ``FundsTaken``."""

    account_id: AccountId
    payment_id: PaymentId
    key: str
    amount: MicroUsd


class RefundFailed(Event, frozen=True, tag="payments.refund-failed.v1"):
    """A refund did not reach the payer, so that the money is Stripe's to give back to us."""

    account_id: AccountId
    payment_id: PaymentId
    key: str
    amount: MicroUsd
    was_settled: bool
    """Whether it had been told as paid out before."""


class DisputeOpened(Event, frozen=True, tag="payments.dispute-opened.v1"):
    """The payer's bank disputes a payment; unless it only asks, Stripe has taken the amount from us.

    What Stripe takes, the wallet is charged with in the same append.
    """

    account_id: AccountId
    payment_id: PaymentId
    dispute_id: str
    amount: MicroUsd
    owed: MicroUsd
    """What of it the balance did not cover, as in the wallet's ``FundsTaken``."""
    goodwill: MicroUsd
    """What of it came out of the part of the balance that was given, as in the wallet's ``FundsTaken``."""
    inquiry: bool
    """The bank only asks: no money moves. It may become a dispute: another ``DisputeOpened`` tells."""


class DisputeWon(Event, frozen=True, tag="payments.dispute-won.v1"):
    """The amount of a dispute came back, since we won it or the payer withdrew it.

    Where it was never seen open, the wallet was not charged with it, and is given nothing back.
    """

    account_id: AccountId
    payment_id: PaymentId
    dispute_id: str
    amount: MicroUsd


class DisputeLost(Event, frozen=True, tag="payments.dispute-lost.v1"):
    """The amount of a dispute is gone for good."""

    account_id: AccountId
    payment_id: PaymentId
    dispute_id: str
    amount: MicroUsd


class InquiryClosed(Event, frozen=True, tag="payments.inquiry-closed.v1"):
    """A bank that only asked asks no more."""

    account_id: AccountId
    payment_id: PaymentId
    dispute_id: str


class StripeEventReceived(Event, frozen=True, tag="payments.stripe-event-received.v1"):
    """Stripe told of something, with a signature that is right. What it means is looked up, not believed."""

    account_id: AccountId
    """Whose payment it is about, or ``UNKNOWN_PAYER``."""
    stripe_event_id: str
    kind: str
    """Such as ``checkout.session.completed``."""
    raw: Personal
    """The body, byte for byte, as text."""
    happened_at: Instant
    """When Stripe says it happened."""


class StripeEventApplied(Event, frozen=True, tag="payments.stripe-event-applied.v1"):
    """What Stripe told of has been looked up, and whatever followed is recorded."""

    stripe_event_id: str
    payment_id: PaymentId | None
    """None where it is about no payment of ours."""


class StripeBalanceMoved(Event, frozen=True, tag="payments.stripe-balance-moved.v1"):
    """Stripe moved money of ours: one balance transaction, as Stripe tells of it. Nothing of it is personal."""

    transaction_id: str
    kind: TransactionKind
    source_id: str | None
    """What it is about, such as a charge or a payout."""
    amount: MicroUsd
    """Gross: above zero what came in."""
    fee: MicroUsd
    available_at: Instant
    """When the net of it can be paid out."""
    happened_at: Instant
    is_available: bool


class StripeFundsAvailable(Event, frozen=True, tag="payments.stripe-funds-available.v1"):
    """What a balance transaction brought can be paid out now."""

    transaction_id: str
    net: MicroUsd


class StripeSwept(Event, frozen=True, tag="payments.stripe-swept.v1"):
    """Everything that Stripe tells of was looked through up to here; the next sweep goes on from it."""

    what: Literal["events", "transactions"]
    cursor: str | None
    """The newest object that was seen."""
    until: Instant
