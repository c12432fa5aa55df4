"""A world in which the service may die at any moment: its store, Stripe and the clock outlive it."""

from typing import Any

import httpx

from adapters.ids import TimeOrderedIds
from adapters.memory.event_store import MemoryEventStore
from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.memory.open_payments import MemoryOpenPayments
from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from api.application.payments.checkouts import ask_for_checkout, ensure_opened
from api.application.payments.dependencies import CashDesk
from api.application.payments.webhooks import apply_event, keep_event
from api.application.repository import Context, Ledger
from api.workers.payment_reconciliation import Sweep
from domain.codec import decode
from domain.deciding import recorded_in
from domain.events import Actor, Event
from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd
from domain.payments.commands import RequestCheckout
from domain.payments.payment import Payment
from domain.time import MICROSECONDS_PER_SECOND
from domain.wallet.events import WalletOpened
from domain.wallet.wallet import Wallet, wallet_view
from tests.api.compute_world import Life

IDS = TimeOrderedIds()
ADDRESS = "http://litevps.test"
TEN_USD = MicroUsd(10_000_000)


class PaymentWorld:
    """What no crash of the service touches, and one customer."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryEventStore(self.clock)
        self.keys = MemoryKeyTable()
        self.leases = LeaseTable(self.clock)
        self.stripe = StripeStandIn(
            IN_MEMORY,
            public_url=f"{ADDRESS}/stripe",
            clock=lambda: self.clock.now() // MICROSECONDS_PER_SECOND,
        )
        self.account_id = AccountId(IDS.new())

    def desk(self, life: Life | None = None) -> CashDesk:
        """Return what a service has just after its start: nothing remembered."""
        life = life or Life()
        store: Any = life.bind(self.store)
        sealer = AccountSealer(MasterKey(b"k" * 32), self.keys)
        gateway = StripeGateway(
            "sk_test_world",
            [self.stripe.webhook_secret],
            public_url=ADDRESS,
            api_base=self.stripe.public_url,
            transport=httpx.ASGITransport(app=self.stripe),
        )
        return CashDesk(
            store=store,
            ledger=Ledger(store, sealer, self.clock, IDS),
            clock=self.clock,
            ids=IDS,
            gateway=life.bind(gateway),
            leases=life.bind(MemoryLeases(self.leases, IDS.new())),
            open_payments=MemoryOpenPayments(store),
        )

    def context(self, step: str = "") -> Context:
        """Return the context of the customer's own requests."""
        return Context(actor=Actor("account", self.account_id), account_id=self.account_id, step=step)

    async def founded(self) -> CashDesk:
        """Record that the customer has a wallet."""
        desk, view = self.desk(), wallet_view(self.account_id)
        await desk.ledger.execute(
            [view], lambda _sight, _now: recorded_in(view.stream, WalletOpened(self.account_id)), self.context()
        )
        return desk

    async def ask(self, desk: CashDesk, amount: MicroUsd = TEN_USD) -> PaymentId:
        """Ask for a Checkout, and no more."""
        payment_id = PaymentId(IDS.new())
        command = RequestCheckout(payment_id, self.account_id, amount)
        await ask_for_checkout(desk, command, self.context("checkout"))
        return payment_id

    async def pay(self, desk: CashDesk, amount: MicroUsd = TEN_USD) -> Payment:
        """Ask for a Checkout and pay there."""
        payment = await ensure_opened(desk, await self.ask(desk, amount))
        assert payment.session_id is not None
        self.stripe.dashboard.pay(payment.session_id)
        return payment

    async def tell(self, desk: CashDesk, event: dict[str, Any]) -> None:
        """Deliver one event as a webhook."""
        told = desk.gateway.read_webhook(*self.stripe.signed(event), self.clock.now())
        await keep_event(desk, told)
        await apply_event(desk, told.stripe_event_id)

    async def tell_all(self, desk: CashDesk) -> None:
        """Deliver everything that Stripe has to tell."""
        for event in self.stripe.events():
            await self.tell(desk, event)

    async def sweep(self, desk: CashDesk, times: int = 1) -> None:
        """Sweep, each time after a while."""
        for _ in range(times):
            self.clock.advance(61)
            await Sweep(desk).run()

    async def wallet(self) -> Wallet:
        """Return the wallet as a service that has just started sees it."""
        view = wallet_view(self.account_id)
        return (await self.desk().ledger.read(view)).of(view)

    async def events(self, *kinds: type[Event]) -> list[Any]:
        """Return what was recorded of these kinds, in order, personal fields sealed."""
        events = [decode(recorded) for recorded in await self.store.read_feed(0, 1_000_000)]
        return [event for event in events if not kinds or isinstance(event, kinds)]

    def refunds_at_stripe(self) -> list[dict[str, Any]]:
        """Return every refund that was ever made at Stripe."""
        return [event["data"]["object"] for event in self.stripe.events() if event["type"] == "refund.created"]
