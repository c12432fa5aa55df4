"""Made-up lives: what an account, Stripe and whoever looks at Stripe may do, in any order."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain.errors import Refusal
from domain.ids import PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments.applying import note_refund_refused
from domain.payments.events import StripeBalanceMoved
from domain.wallet.commands import CreditFunds
from domain.wallet.events import MeterClosed, MinutesMetered
from domain.wallet.funds import credit_funds
from domain.wallet.paid_in import write_off
from tests.domain.books.test_postings import line
from tests.domain.payments.house import USD, House
from tests.domain.payments.made_up_stripe import MadeUpPayment, MadeUpStripe
from tests.domain.wallet.wallets import ACCOUNT, T0, WEB, running

T = TypeVar("T")
Fits = Callable[[MadeUpPayment], bool]

CENTS = st.integers(1, 5_000).map(lambda cents: cents * USD // 100)
GIFTS = st.integers(1, 300).map(lambda cents: cents * USD // 100)
TOP_UPS = st.integers(500, 5_000).map(lambda cents: cents * USD // 100)
PICKS = st.integers(0, 10)


class MadeUpLives(RuleBasedStateMachine):
    """Stripe leads payments through their lives; looks at them come late, twice, or in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.stripe = MadeUpStripe(ACCOUNT)
        self.came_in = 0
        """Credits less minutes: what moved the balance without Stripe."""
        self.minutes = 0
        self.unasked: list[tuple[PaymentId, RefundId, int]] = []
        """Refunds that are requested here, and of which Stripe does not know yet."""

    # What the account does.

    @initialize(top_ups=st.lists(st.tuples(TOP_UPS, st.sampled_from(["open", "paid", "seen"])), min_size=1, max_size=3))
    def have_payments(self, top_ups: list[tuple[int, str]]) -> None:
        self._switch_on()
        for number, (amount, state) in enumerate(top_ups):
            payment_id = PaymentId(UUID(int=71 + number))
            self.house.ask(amount, payment_id)
            payment = self.stripe.open(payment_id, amount)
            if state != "open":
                self.stripe.pay(payment)
            if state == "seen":
                self.house.look(payment.seen)

    @rule(amount=GIFTS)
    def credit(self, amount: int) -> None:
        self.house.move(*credit_funds(self.house.wallet, CreditFunds(UUID(int=5), MicroUsd(amount), "sorry")))
        self.came_in += amount

    @precondition(lambda self: self.house.wallet.balance > 0)
    @rule(part=st.integers(1, 2))
    def run_a_vps(self, part: int) -> None:
        amount = -(-self.house.wallet.balance // part)
        self._switch_on()
        self.minutes += 1
        self.house.move(MinutesMetered(ACCOUNT, (line(amount, n=self.minutes),)))
        self.came_in -= amount

    @precondition(lambda self: self.house.wallet.refundable > 0)
    @rule(amount=st.none() | CENTS)
    def ask_for_a_refund(self, amount: int | None) -> None:
        try:
            self.unasked += self.house.refund(amount)
        except Refusal:
            return

    @precondition(lambda self: self.house.wallet.frozen)
    @rule()
    def give_up_what_is_owed(self) -> None:
        self.house.move(*write_off(self.house.wallet, "not worth it"))

    # What Stripe does.

    @precondition(lambda self: self._payments(_unpaid))
    @rule(pick=PICKS)
    def pay(self, pick: int) -> None:
        self.stripe.pay(_one(self._payments(_unpaid), pick))

    @precondition(lambda self: self._payments(_unpaid))
    @rule(pick=PICKS)
    def let_the_bank_think(self, pick: int) -> None:
        _one(self._payments(_unpaid), pick).become(state="unpaid")

    @precondition(lambda self: self._payments(_unpaid))
    @rule(pick=PICKS)
    def end_without_a_payment(self, pick: int) -> None:
        payment = _one(self._payments(_unpaid), pick)
        payment.become(state="expired" if payment.seen.state == "open" else "declined")

    @precondition(lambda self: self.unasked)
    @rule()
    def make_a_refund(self) -> None:
        payment_id, refund_id, amount = self.unasked.pop(0)
        payment = self.stripe.payments[payment_id]
        if payment.refunded + amount <= payment.seen.amount:
            self.stripe.refund(payment, amount, refund_id)
        else:
            known = self.house.payments[payment_id]
            self.house.apply(note_refund_refused(known, self.house.wallet, refund_id, T0))

    @precondition(lambda self: self._payments(_paid))
    @rule(pick=PICKS, amount=CENTS)
    def make_a_refund_in_the_dashboard(self, pick: int, amount: int) -> None:
        payment = _one(self._payments(_paid), pick)
        if rest := payment.seen.amount - payment.refunded:
            self.stripe.refund(payment, min(amount, rest))

    @precondition(lambda self: self._refunds("pending"))
    @rule(pick=PICKS)
    def settle_a_refund(self, pick: int) -> None:
        self.stripe.settle(*_one(self._refunds("pending"), pick))

    @precondition(lambda self: self._refunds("pending", "settled"))
    @rule(pick=PICKS)
    def fail_a_refund(self, pick: int) -> None:
        self.stripe.fail(*_one(self._refunds("pending", "settled"), pick))

    @precondition(lambda self: self._payments(_paid))
    @rule(pick=PICKS, amount=CENTS, inquiry=st.booleans())
    def dispute(self, pick: int, amount: int, inquiry: bool) -> None:
        payment = _one(self._payments(_paid), pick)
        begin = self.stripe.inquire if inquiry else self.stripe.dispute
        begin(payment, min(amount, payment.seen.amount))

    @precondition(lambda self: self._disputes("inquiry"))
    @rule(pick=PICKS)
    def close_an_inquiry(self, pick: int) -> None:
        self.stripe.close_inquiry(*_one(self._disputes("inquiry"), pick))

    @precondition(lambda self: self._disputes("inquiry", "inquiry-closed"))
    @rule(pick=PICKS)
    def want_it_back_after_an_inquiry(self, pick: int) -> None:
        self.stripe.escalate(*_one(self._disputes("inquiry", "inquiry-closed"), pick))

    @precondition(lambda self: self._disputes("open"))
    @rule(pick=PICKS)
    def win_a_dispute(self, pick: int) -> None:
        self.stripe.win(*_one(self._disputes("open"), pick))

    @precondition(lambda self: self._disputes("open"))
    @rule(pick=PICKS)
    def lose_a_dispute(self, pick: int) -> None:
        self.stripe.lose(*_one(self._disputes("open"), pick))

    @precondition(lambda self: self.stripe.balance > 0)
    @rule()
    def pay_out(self) -> None:
        self.stripe.pay_out()

    # What is seen of it.

    @rule(pick=PICKS)
    def look_at_the_present(self, pick: int) -> None:
        payment = _one(self._payments(), pick)
        self.house.look(payment.seen)
        again = self.house.look(payment.seen)
        assert (again.payment_events, again.wallet_events, again.claims) == ((), (), ())

    @rule(pick=PICKS, back=st.integers(1, 8))
    def be_shown_something_old(self, pick: int, back: int) -> None:
        looks = _one(self._payments(), pick).looks
        self.house.look(looks[max(0, len(looks) - 1 - back)])

    @precondition(lambda self: self.stripe.transactions)
    @rule(pick=PICKS, available=st.booleans())
    def see_a_balance_transaction(self, pick: int, available: bool) -> None:
        self.tell(_one(self.stripe.transactions, pick), available=available)

    def _switch_on(self) -> None:
        meter = self.house.wallet.meters.get(WEB)
        generation = 1 if meter is None else meter.generation + 1
        if meter is not None and meter.on:
            return
        if meter is not None:
            self.house.move(MeterClosed(WEB, meter.generation, T0))
        self.house.move(*running(generation=generation))

    def tell(self, transaction: StripeBalanceMoved, *, available: bool) -> None:
        fields = {name: getattr(transaction, name) for name in StripeBalanceMoved.__struct_fields__}
        self.house.tell(StripeBalanceMoved(**{**fields, "is_available": available}))

    def _payments(self, fits: Fits = lambda _one: True) -> list[MadeUpPayment]:
        return [one for one in self.stripe.payments.values() if fits(one)]

    def _refunds(self, *states: str) -> list[tuple[MadeUpPayment, int]]:
        return [(one, at) for one in self._payments() for at, it in enumerate(one.seen.refunds) if it.state in states]

    def _disputes(self, *states: str) -> list[tuple[MadeUpPayment, int]]:
        return [(one, at) for one in self._payments() for at, it in enumerate(one.seen.disputes) if it.state in states]


def _one(things: Sequence[T], pick: int) -> T:
    return things[pick % len(things)]


def _paid(payment: MadeUpPayment) -> bool:
    return payment.paid


def _unpaid(payment: MadeUpPayment) -> bool:
    return payment.seen.state in ("open", "unpaid")
