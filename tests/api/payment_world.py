"""A world in which the service may die at any moment: its store, Stripe and the clock outlive it."""

from typing import Any

import httpx

from adapters.ids import TimeOrderedIds
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from api.application.payments.checkouts import ask_for_checkout, ensure_opened
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.webhooks import apply_event, keep_event
from api.application.repository import AggregateRepository, CommandContext
from api.workers.payment_reconciliation import PaymentReconciler
from domain.codec import decode
from domain.deciding import recorded_in
from domain.events import Actor, Event
from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd
from domain.payments.commands import RequestCheckout
from domain.payments.payment import Payment
from domain.time import MICROSECONDS_PER_SECOND
from domain.wallet.events import WalletOpened
from domain.wallet.wallet import Wallet, wallet_ref
from projections.payments import TabledPayments
from tests.api.compute_world import Life
from tests.storage import Storage

IDS = TimeOrderedIds()
ADDRESS = "http://litevps.test"
TEN_USD = MicroUsd(10_000_000)


class PaymentWorld:
    """What no crash of the service touches, and one customer."""

    def __init__(self, storage: Storage, clock: ManualClock) -> None:
        self.clock = clock
        self.storage = storage
        self.store = storage.store
        self.stripe = StripeStandIn(
            IN_MEMORY,
            public_url=f"{ADDRESS}/stripe",
            clock=lambda: self.clock.now() // MICROSECONDS_PER_SECOND,
        )
        self.account_id = AccountId(IDS.new())

    def payments(self, life: Life | None = None) -> PaymentsContext:
        """Return what a service has just after its start: nothing remembered."""
        life = life or Life()
        store: Any = life.bind(self.store)
        sealer = AccountSealer(MasterKey(b"k" * 32), self.storage.keys)
        gateway = StripeGateway(
            "sk_test_world",
            [self.stripe.webhook_secret],
            public_url=ADDRESS,
            api_base=self.stripe.public_url,
            transport=httpx.ASGITransport(app=self.stripe),
        )
        return PaymentsContext(
            store=store,
            aggregates=AggregateRepository(store, sealer, self.clock, IDS),
            clock=self.clock,
            ids=IDS,
            gateway=life.bind(gateway),
            leases=life.bind(self.storage.leases(IDS.new())),
            open_payments=TabledPayments(self.storage.read_models, store),
        )

    def context(self, step: str = "") -> CommandContext:
        """Return the context of the customer's own requests."""
        return CommandContext(actor=Actor("account", self.account_id), account_id=self.account_id, step=step)

    async def founded(self) -> PaymentsContext:
        """Record that the customer has a wallet."""
        payments, ref = self.payments(), wallet_ref(self.account_id)
        await payments.aggregates.execute(
            [ref], lambda _loaded, _now: recorded_in(ref.stream, WalletOpened(self.account_id)), self.context()
        )
        return payments

    async def ask(self, payments: PaymentsContext, amount: MicroUsd = TEN_USD) -> PaymentId:
        """Ask for a Checkout, and no more."""
        payment_id = PaymentId(IDS.new())
        command = RequestCheckout(payment_id, self.account_id, amount)
        await ask_for_checkout(payments, command, self.context("checkout"))
        return payment_id

    async def pay(self, payments: PaymentsContext, amount: MicroUsd = TEN_USD) -> Payment:
        """Ask for a Checkout and pay there."""
        payment = await ensure_opened(payments, await self.ask(payments, amount))
        assert payment.session_id is not None
        self.stripe.dashboard.pay(payment.session_id)
        return payment

    async def tell(self, payments: PaymentsContext, event: dict[str, Any]) -> None:
        """Deliver one event as a webhook."""
        told = payments.gateway.read_webhook(*self.stripe.signed(event), self.clock.now())
        await keep_event(payments, told)
        await apply_event(payments, told.stripe_event_id)

    async def tell_all(self, payments: PaymentsContext) -> None:
        """Deliver everything that Stripe has to tell."""
        for event in self.stripe.events():
            await self.tell(payments, event)

    async def sweep(self, payments: PaymentsContext, times: int = 1) -> None:
        """Sweep, each time after a while."""
        for _ in range(times):
            self.clock.advance(61)
            await PaymentReconciler(payments).run()

    async def wallet(self) -> Wallet:
        """Return the wallet as a service that has just started sees it."""
        ref = wallet_ref(self.account_id)
        return (await self.payments().aggregates.load(ref)).of(ref)

    async def events(self, *kinds: type[Event]) -> list[Any]:
        """Return what was recorded of these kinds, in order, personal fields sealed."""
        events = [decode(recorded) for recorded in await self.store.read_feed(0, 1_000_000)]
        return [event for event in events if not kinds or isinstance(event, kinds)]

    def refunds_at_stripe(self) -> list[dict[str, Any]]:
        """Return every refund that was ever made at Stripe."""
        return [event["data"]["object"] for event in self.stripe.events() if event["type"] == "refund.created"]
