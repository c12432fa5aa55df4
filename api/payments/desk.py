"""The cash desk: what payments are dealt with."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
import structlog

from api.ledger import Context, Ledger
from domain.compute.work import Leases
from domain.events import Actor
from domain.ids import AccountId, PaymentId
from domain.payments.payment import Payment, payment_view
from domain.payments.ports import PaymentGateway
from domain.payments.work import OpenPayments
from domain.ports import Clock, EventStore, Ids

LEASE_S = 30.0
"""Longer than things take as a rule; where one takes longer, two may be at it, which comes to the same."""

_log = structlog.get_logger(__name__)


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
        """Do something unless somebody else is at it, or it is to be left alone; tell whether it was done.

        ``pause_s``: how long it is left alone where it raised, by how often it did before.
        """
        attempts = await self.leases.take(scope, key, lease_s)
        if attempts is None:
            return False
        try:
            await work()
        except asyncio.CancelledError:
            await asyncio.shield(self.leases.postpone(scope, key, pause_s(attempts)))
            raise
        except Exception:
            await self.leases.postpone(scope, key, pause_s(attempts))
            raise
        await self.leases.done(scope, key)
        return True


def as_service(step: str, account_id: AccountId | None) -> Context:
    """Return how events came to be that follow from what Stripe tells."""
    return Context(actor=Actor(kind="service", part="payments"), account_id=account_id, step=step)
