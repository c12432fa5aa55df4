"""The port for those who work on payments: what is open, and what an account has."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd
from domain.payments.payment import Payment, RefundState
from domain.time import Instant, seconds

REQUEST_GRACE = seconds(20)
"""How long whoever requested a Checkout has to ask Stripe for it before others do, and Stripe to end one in time."""


class RefundStatus(msgspec.Struct, frozen=True):
    """A refund as a list of them tells it."""

    key: str
    """Our id as text, or Stripe's of one that was made in the dashboard."""
    payment_id: PaymentId
    amount: MicroUsd
    state: RefundState
    at: Instant
    """When it became known."""
    fee: MicroUsd
    """What is kept beside the amount."""


class OpenPayments(Protocol):
    """What a read model knows of payments. It may be a moment behind, so each is looked at again.

    What tells of one account shows everything recorded before it was asked; it raises ProjectionBehind otherwise.
    """

    async def pending_events(self, after: str | None, limit: int) -> Sequence[str]:
        """Return Stripe's ids of events that came in and are not applied, in one order, past ``after``."""
        ...

    async def due_payments(self, now: Instant, after: PaymentId | None, limit: int) -> Sequence[PaymentId]:
        """Return payments to be looked at by ``now`` (see ``look_at``), in the order of ids, past ``after``."""
        ...

    async def due_transactions(self, now: Instant, after: str | None, limit: int) -> Sequence[str]:
        """Return balance transactions that should be available by ``now`` and are not known to be.

        By Stripe's ids, in one order, past ``after``.
        """
        ...

    async def refundable_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments of an account that were received and did not go back wholly, the oldest first."""
        ...

    async def open_payments(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments of an account that may still be paid, the oldest first."""
        ...

    async def awaiting_stripe(self, account_id: AccountId) -> Sequence[PaymentId]:
        """Return payments of an account of which Stripe is still to tell how something ends, the oldest first."""
        ...

    async def refunds(self, account_id: AccountId) -> Sequence[RefundStatus]:
        """Return the refunds of an account, the newest first."""
        ...


def look_at(payment: Payment) -> Instant | None:
    """Return from when on Stripe is to be asked about a payment unasked; None where nothing is open."""
    if not payment.awaits_stripe:
        return None
    if payment.state == "open" and payment.expires_at is not None:
        return Instant(payment.expires_at + REQUEST_GRACE)
    if payment.state == "requested":
        return Instant(payment.requested_at + REQUEST_GRACE)
    return payment.requested_at
