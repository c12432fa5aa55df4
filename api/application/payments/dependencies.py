"""The cash desk: what payments are dealt with."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from api.application.queues import leased
from api.application.repository import Context, Ledger
from domain.compute.work import Leases
from domain.events import Actor
from domain.ids import AccountId, PaymentId
from domain.payments.payment import Payment, payment_view
from domain.payments.ports import PaymentGateway
from domain.payments.work import OpenPayments
from domain.ports import Clock, EventStore, Ids

LEASE_S = 30.0
"""Longer than things take as a rule; where one takes longer, two may be at it, which comes to the same."""


class CashDesk(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that dealing with a payment may need."""

    store: EventStore
    ledger: Ledger
    clock: Clock
    ids: Ids
    gateway: PaymentGateway
    leases: Leases
    open_payments: OpenPayments

    async def payment(self, payment_id: PaymentId) -> Payment | None:
        """Return the present state of a payment."""
        view = payment_view(payment_id)
        return (await self.ledger.read(view)).of(view)

    async def leased(
        self,
        scope: str,
        key: UUID,
        work: Callable[[], Awaitable[object]],
        pause_s: Callable[[int], float],
        lease_s: float = LEASE_S,
    ) -> bool:
        """Do something unless somebody else is at it; see ``api.application.queues.leased``."""
        return await leased(self.leases, scope, key, work, lease_s=lease_s, pause_s=pause_s)


def as_service(step: str, account_id: AccountId | None) -> Context:
    """Return how events came to be that follow from what Stripe tells."""
    return Context(actor=Actor(kind="service", part="payments"), account_id=account_id, step=step)
