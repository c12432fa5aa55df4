"""A cashier under test: the product's own way with payments, over a house and a stand-in for Stripe."""

from typing import Any
from uuid import UUID

import httpx

from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from api.application.payments import refunding
from api.application.payments.applying import apply_payment
from api.application.payments.checkouts import ask_for_checkout, ensure_opened
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.webhooks import apply_event, keep_event
from api.application.repository import CommandContext, Loaded
from api.workers.payment_reconciliation import PaymentReconciler
from domain.deciding import Decision, recorded_in
from domain.events import Actor, Event
from domain.ids import EventId, PaymentId
from domain.money import MicroUsd
from domain.payments.commands import RequestCheckout
from domain.payments.payment import Payment
from domain.payments.ports import SeenPayment
from domain.payments.refunds import ChosenRefund
from domain.time import MICROSECONDS_PER_SECOND, Instant
from domain.wallet.paid_in import correct, write_off
from tests.properties.house import House
from tests.properties.open_payments import MemoryOpenPayments

STRIPE = "http://stripe.test"


class Cashier:
    """Deals with the payments of a house's one account; Stripe's own clock never steps back."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._stripe_now = 0
        self.stripe = StripeStandIn(IN_MEMORY, public_url=STRIPE, clock=self.stripe_now)
        self.gateway = StripeGateway(
            "sk_test_property",
            [self.stripe.webhook_secret],
            public_url="http://litevps.test",
            api_base=STRIPE,
            transport=httpx.ASGITransport(self.stripe),
        )
        self._leases = LeaseTable(house.clock)
        self._open_payments = MemoryOpenPayments(house.store)

    def stripe_now(self) -> int:
        self._stripe_now = max(self._stripe_now, self.house.clock.now() // MICROSECONDS_PER_SECOND)
        return self._stripe_now

    async def close(self) -> None:
        await self.gateway.close()
        self.stripe.close()

    def payments(self) -> PaymentsContext:
        """Return the desk of a process that has just started."""
        return PaymentsContext(
            store=self.house.store,
            aggregates=self.house.started(),
            clock=self.house.clock,
            ids=self.house.ids,
            gateway=self.gateway,
            leases=MemoryLeases(self._leases, self.house.ids.new()),
            open_payments=self._open_payments,
        )

    async def check_out(self, amount: int) -> Payment:
        """Ask for a Checkout and have it opened."""
        payment_id = PaymentId(self.house.ids.new())
        command = RequestCheckout(payment_id, self.house.account_id, MicroUsd(amount))
        await ask_for_checkout(self.payments(), command, self._context())
        return await ensure_opened(self.payments(), payment_id)

    async def told(self, event: dict[str, Any]) -> bool:
        """Take in a webhook, as whoever is asked does; tell whether what it tells is applied."""
        raw, signature = self.stripe.signed(event)
        payments = self.payments()
        read = self.gateway.read_webhook(raw, signature, Instant(self.stripe_now() * MICROSECONDS_PER_SECOND))
        await keep_event(payments, read)
        return await apply_event(payments, read.stripe_event_id)

    async def sweep(self) -> None:
        await PaymentReconciler(self.payments()).run()

    async def seen(self, payment: Payment) -> SeenPayment:
        """Return what Stripe has of a payment."""
        assert payment.session_id is not None
        seen = await self.gateway.find_payment(payment.session_id)
        assert seen is not None
        return seen

    async def look(self, payment: Payment) -> SeenPayment:
        """Look at a payment unasked; return what was seen."""
        seen = await self.seen(payment)
        await apply_payment(self.payments(), payment.account_id, payment.payment_id, seen)
        return seen

    async def payment(self, payment_id: UUID) -> Payment:
        payment = await self.payments().payment(PaymentId(payment_id))
        assert payment is not None
        return payment

    async def refund(self, amount: int | None) -> list[ChosenRefund]:
        """Have funds go back, as their owner asks; Stripe is asked right after."""
        payments, account_id = self.payments(), self.house.account_id
        micros = None if amount is None else MicroUsd(amount)
        request = await refunding.prepare_refund(payments, account_id, micros, "requested")
        chosen: list[ChosenRefund] = []

        def decide(loaded: Loaded, now: Instant) -> Decision:
            nonlocal chosen
            chosen = request.choose(loaded, now)
            return refunding.decided(chosen, account_id)

        await payments.aggregates.execute(request.refs, decide, self._context())
        await refunding.ask_in_time(payments, chosen)
        return chosen

    async def write_off(self) -> None:
        wallet = self.house.wallet
        await self.house.execute(
            [wallet], lambda loaded, _: recorded_in(wallet.stream, *write_off(loaded.of(wallet), "a test"))
        )

    async def correct(self, corrects: EventId, earlier: Event, amount: int) -> None:
        wallet = self.house.wallet

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            events = correct(loaded.of(wallet), self.house.ids.new(), corrects, earlier, MicroUsd(amount), "a test")
            return recorded_in(wallet.stream, *events)

        await self.house.execute([wallet], decide)

    def _context(self) -> CommandContext:
        return CommandContext(actor=Actor("account", self.house.account_id), account_id=self.house.account_id)
