"""The payments context: what payments are dealt with."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from api.application.queues import leased
from api.application.repository import AggregateRepository, CommandContext
from domain.compute.work import Leases
from domain.events import Actor
from domain.ids import AccountId, PaymentId
from domain.payments.payment import Payment, payment_ref
from domain.payments.ports import PaymentGateway
from domain.payments.work import OpenPayments
from domain.ports import Clock, EventStore, Ids

LEASE_S = 30.0
"""Longer than things take as a rule; where one takes longer, two may be at it, which comes to the same."""


class PaymentMissing(Exception):
    """A payment that something was recorded of is not there: the ledger is not whole, or ours is the mistake."""


class PaymentsContext(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that dealing with a payment may need."""

    store: EventStore
    aggregates: AggregateRepository
    clock: Clock
    ids: Ids
    gateway: PaymentGateway
    leases: Leases
    open_payments: OpenPayments

    async def payment(self, payment_id: PaymentId) -> Payment | None:
        """Return the present state of a payment."""
        ref = payment_ref(payment_id)
        return (await self.aggregates.load(ref)).of(ref)

    async def required_payment(self, payment_id: PaymentId) -> Payment:
        """Return the present state of a payment that was asked for. Raises PaymentMissing."""
        return require_payment(await self.payment(payment_id), payment_id)

    async def leased(
        self,
        scope: str,
        key: UUID,
        work: Callable[[], Awaitable[object]],
        pause_s: Callable[[int], float],
        lease_s: float = LEASE_S,
    ) -> bool:
        """Do something unless somebody else is at it, and tell whether it was done; see ``queues.leased``."""
        return await leased(self.leases, scope, key, work, lease_s=lease_s, pause_s=pause_s) is not None


def require_payment(payment: Payment | None, payment_id: PaymentId) -> Payment:
    """Return a payment that was read and that something was recorded of. Raises PaymentMissing."""
    if payment is None:
        raise PaymentMissing(f"payment {payment_id} is not in the ledger: run `litevps audit verify`")
    return payment


def as_service(step: str, account_id: AccountId | None) -> CommandContext:
    """Return how events came to be that follow from what Stripe tells."""
    return CommandContext(actor=Actor(kind="service", part="payments"), account_id=account_id, step=step)
