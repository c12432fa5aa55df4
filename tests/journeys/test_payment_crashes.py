"""The service dies at each fail point of a payment's life, once, and whoever comes after loses and doubles nothing."""

from collections.abc import Awaitable, Callable

import pytest

from adapters.simulated.clock import ManualClock
from adapters.simulated.faults import SimulatedCrash
from api.application import fail_points as failpoints
from api.application.payments.checkouts import ask_for_checkout, ensure_opened
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.refunding import ask_in_time, decided, prepare_refund
from api.application.repository import Loaded
from api.workers.payment_reconciliation import SWEEP_WITHIN_S, PaymentReconciler
from domain.books.postings import postings
from domain.deciding import Decision
from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.payments import events
from domain.payments.commands import RequestCheckout
from domain.payments.refunds import ChosenRefund
from domain.time import Instant
from domain.wallet.events import FundsAdded, FundsTaken
from tests.api.compute_world import Life
from tests.api.payment_world import IDS, TEN_USD, PaymentWorld
from tests.storage import OpenStorage

pytestmark = pytest.mark.anyio

FOUR_USD = MicroUsd(4_000_000)


class Journey:
    """A customer who pays and wants a part back, over as many lives of the service as it takes."""

    def __init__(self, world: PaymentWorld) -> None:
        self.world = world
        self.payment_id = PaymentId(IDS.new())
        self.crashes = 0
        self.payments: PaymentsContext
        self._life = Life()

    def begin_life(self) -> None:
        """Start the service."""
        self._life = Life()
        self.payments = self.world.payments(self._life)

    def crash(self) -> None:
        """End it."""
        self.crashes += 1
        self._life.crash()

    async def go(self, leg: Callable[[], Awaitable[None]]) -> None:
        """Have a leg done, begun again by whoever wants it if the service dies meanwhile."""
        while True:
            try:
                return await leg()
            except SimulatedCrash:
                self.world.clock.advance(SWEEP_WITHIN_S + 16)
                self.begin_life()

    async def ask(self) -> None:
        """The customer asks under a key, by which the payment is the same."""
        command = RequestCheckout(self.payment_id, self.world.account_id, TEN_USD)
        await ask_for_checkout(self.payments, command, self.world.context("checkout"))
        payment = await ensure_opened(self.payments, self.payment_id)
        assert payment.session_id is not None

    async def pay(self) -> None:
        """The customer pays, and Stripe tells of it until it is answered."""
        payment = await self.world.payments().payment(self.payment_id)
        assert payment is not None
        self.world.stripe.dashboard.pay(payment.session_id or "")

    async def be_told(self) -> None:
        """Stripe tells of everything, again and again."""
        await self.world.tell_all(self.payments)

    async def refund(self) -> None:
        """The customer wants a part back, under a key: asked again, it is told what is recorded."""
        if await self.world.events(events.RefundRequested):
            return
        request = await prepare_refund(self.payments, self.world.account_id, FOUR_USD, "requested")
        chosen: list[ChosenRefund] = []

        def decide(loaded: Loaded, now: Instant) -> Decision:
            nonlocal chosen
            chosen = request.choose(loaded, now)
            return decided(chosen, self.world.account_id)

        await self.payments.aggregates.execute(request.refs, decide, self.world.context("refund"))
        await ask_in_time(self.payments, chosen)

    async def sweep(self) -> None:
        """Time passes, and the service looks at Stripe."""
        self.world.clock.advance(61)
        await PaymentReconciler(self.payments).run()


@pytest.mark.parametrize("name", failpoints.ALL_OF_PAYMENTS)
async def test_after_a_crash_here_nothing_is_lost_or_doubled(name: str, open_storage: OpenStorage) -> None:
    clock = ManualClock()
    journey = Journey(PaymentWorld(await open_storage(clock), clock))
    await journey.world.founded()
    journey.begin_life()
    with failpoints.armed(name, journey.crash):
        for leg in (journey.ask, journey.pay, journey.be_told, journey.refund, journey.sweep, journey.sweep):
            await journey.go(leg)

    assert journey.crashes == 1, "the journey never came to this fail point"
    await _check(journey.world)


async def _check(world: PaymentWorld) -> None:
    assert (await world.wallet()).balance == TEN_USD - FOUR_USD
    assert len(world.refunds_at_stripe()) == 1
    for kind in (
        events.CheckoutRequested,
        events.CheckoutOpened,
        events.PaymentReceived,
        FundsAdded,
        events.RefundRequested,
        events.RefundOpened,
        events.RefundSettled,
        FundsTaken,
    ):
        assert len(await world.events(kind)) == 1, kind
    received, applied = await world.events(events.StripeEventReceived), await world.events(events.StripeEventApplied)
    ids = {event.stripe_event_id for event in received}
    assert len(received) == len(applied) == len(ids)
    assert {one["id"] for one in world.stripe.events() if one["type"] == "checkout.session.completed"} <= ids
    moved = await world.events(events.StripeBalanceMoved)
    assert [one.kind for one in moved] == ["charge", "refund"]
    held: dict[str, int] = {}
    for event in await world.events():
        for posting in postings(event):
            held[posting.account] = held.get(posting.account, 0) + posting.amount
    assert sum(held.values()) == 0
    assert held["assets:stripe:clearing"] == 0
    assert held["liabilities:refunds-payable"] == 0
