"""The port to whom payments are made through: what is asked of Stripe, and what it is seen to hold."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from domain.ids import AccountId, PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved
from domain.time import Instant


class CheckoutOrder(msgspec.Struct, frozen=True):
    """A Checkout Session as we want it; the payment's id is the idempotency key."""

    payment_id: PaymentId
    account_id: AccountId
    amount: MicroUsd
    """Whole cents, in USD."""
    email: str | None
    """To fill in for the payer."""
    expires_at: Instant


class OpenedCheckout(msgspec.Struct, frozen=True):
    """A Checkout Session as Stripe has it."""

    session_id: str
    url: str
    expires_at: Instant


class RefundOrder(msgspec.Struct, frozen=True):
    """A refund as we want it; its id is the idempotency key."""

    refund_id: RefundId
    payment_intent_id: str
    amount: MicroUsd


class SeenRefund(msgspec.Struct, frozen=True):
    """A refund as Stripe tells of it now."""

    stripe_refund_id: str
    refund_id: RefundId | None
    """Ours, from its metadata; None for one that was made in the dashboard."""
    amount: MicroUsd
    state: Literal["pending", "settled", "failed"]
    """A cancelled one counts as failed."""


class SeenDispute(msgspec.Struct, frozen=True):
    """A dispute as Stripe tells of it now."""

    dispute_id: str
    amount: MicroUsd
    state: Literal["inquiry", "inquiry-closed", "open", "won", "lost"]


class SeenPayment(msgspec.Struct, frozen=True):
    """A payment as Stripe tells of it now: the Checkout Session and everything that hangs on it."""

    session_id: str
    payment_reference: str | None
    """``client_reference_id``: our payment's id, as text."""
    account_reference: str | None
    """The account's id in the metadata, as text."""
    mode: str
    amount: MicroUsd
    currency: str
    """Lower case, such as ``usd``."""
    state: Literal["open", "unpaid", "paid", "declined", "expired"]
    """``unpaid``: completed, while the bank still decides; ``declined``: it has decided against."""
    payment_intent_id: str | None
    charge_id: str | None
    received: MicroUsd
    """What was really paid, all refunds and disputes aside."""
    refunds: tuple[SeenRefund, ...] = ()
    disputes: tuple[SeenDispute, ...] = ()


class StripeEvent(msgspec.Struct, frozen=True):
    """An event of Stripe, as far as we read it: a hint where to look."""

    stripe_event_id: str
    kind: str
    happened_at: Instant
    session_id: str | None = None
    payment_intent_id: str | None = None
    payment_reference: str | None = None
    raw: str = ""


class BadSignature(Exception):
    """A webhook that is not signed by Stripe, or too old to be believed."""


class PaymentsUnavailable(Exception):
    """Stripe does not answer, or is too busy; it is worth trying again."""


class PaymentsRefused(Exception):
    """Stripe refused what was asked for; trying again changes nothing."""


class PaymentGateway(Protocol):
    """Stripe. Every call raises PaymentsUnavailable where it does not answer, and may be repeated."""

    async def answers(self) -> None:
        """Return if Stripe answers to our key."""
        ...

    async def ensure_checkout(self, order: CheckoutOrder) -> OpenedCheckout:
        """Have a Checkout Session for a payment; asked twice, there is one. Raises PaymentsRefused."""
        ...

    async def expire_checkout(self, session_id: str) -> None:
        """Have nobody pay at a session any more; one that is over already is left so."""
        ...

    async def find_payment(self, session_id: str) -> SeenPayment | None:
        """Return what Stripe has of a session now; None where it has no such session."""
        ...

    async def session_of(self, payment_intent_id: str) -> str | None:
        """Return the session that a payment intent belongs to; None for one that was made without."""
        ...

    async def ensure_refund(self, order: RefundOrder) -> SeenRefund:
        """Have a refund; asked twice, there is one. Raises PaymentsRefused."""
        ...

    async def fee_of(self, charge_id: str) -> MicroUsd | None:
        """Return what Stripe kept of a charge; None as long as it does not tell."""
        ...

    def read_webhook(self, raw: bytes, signature: str, now: Instant) -> StripeEvent:
        """Return what a webhook tells. Raises BadSignature, or ValueError for what cannot be read at all."""
        ...

    def read_event(self, raw: str) -> StripeEvent:
        """Return what an event tells that was kept; nobody signs it again. Raises ValueError for what is none."""
        ...

    async def events_since(self, since: Instant, limit: int) -> Sequence[StripeEvent]:
        """Return events that happened at ``since`` or later, the oldest first, at most ``limit``."""
        ...

    async def transactions_since(self, since: Instant, limit: int) -> Sequence[StripeBalanceMoved]:
        """Return balance transactions made at ``since`` or later, the oldest first, at most ``limit``."""
        ...

    async def find_transaction(self, transaction_id: str) -> StripeBalanceMoved | None:
        """Return a balance transaction as it is now."""
        ...
