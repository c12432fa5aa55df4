"""Whatever Stripe, its banks, owners and operators do about money, in any order, told in any order."""

import asyncio
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from adapters.stripe_stand_in.errors import ApiError
from api.application.payments.webhooks import HANDLED_KINDS
from domain.books import chart
from domain.errors import Invalid
from domain.ids import EventId
from domain.payments.payment import Payment
from domain.payments.refunds import NothingToRefund
from domain.time import HOUR
from domain.wallet.events import FundsCredited, MinutesMetered
from domain.wallet.funds import InsufficientBalance
from domain.wallet.paid_in import MoreThanRefundable, NothingOwed
from tests.properties import reference_funds as reference
from tests.properties.asking import MOSTLY
from tests.properties.cashier import Cashier
from tests.properties.machine import Billing

CENT = reference.CENT
PAYMENTS_MAX = 4
WHICH = st.integers(0, 1_000)
CENTS = st.one_of(st.sampled_from([500, 5_000, 501]), st.integers(500, 5_000))
PARTS = st.one_of(st.none(), st.integers(1, 5_000))


PAYERS = st.sampled_from(["pay", "pay", "pay_later", "decline", "bank_pays", "bank_refuses", "expire"])
WAYS_BACK = st.sampled_from(["refund", "refund", "dispute", "inquiry"])
HELD = (chart.CLEARING, chart.REFUNDS_PAYABLE, chart.DISPUTE_RESERVE, chart.DISPUTED, chart.UNEXPLAINED)
"""What is zero once everything has come to an end, and all of it is told."""


class Paying(Billing):
    """Payments, refunds, disputes, debts and corrections beside everything else."""

    def __init__(self) -> None:
        super().__init__()
        self.cashier = Cashier(self.house)
        self.payments: list[Payment] = []
        self.untold: list[dict[str, Any]] = []
        self.known_events = 0
        self.corrected: dict[EventId, int] = {}

    def teardown(self) -> None:
        try:
            self.in_the_end_all_is_settled()
        finally:
            self.run(self.cashier.close())
            super().teardown()

    @precondition(lambda self: len(self.payments) < PAYMENTS_MAX)
    @rule(cents=CENTS, paid=MOSTLY)
    def check_out(self, cents: int, paid: bool) -> None:
        payment = self.run(self.cashier.check_out(cents * CENT))
        if payment.session_id is None:
            return  # Our clock is so far behind Stripe's that the page would be over too soon.
        self.payments.append(payment)
        self.reference.funds.payments.append(reference.Payment(payment.payment_id, cents * CENT, payment.requested_at))
        if paid:
            self.at_stripe("pay", payment.session_id)
            self.all_is_told()

    @precondition(lambda self: self.payments)
    @rule(
        which=WHICH, what=st.sampled_from(["pay", "pay", "pay_later", "decline", "bank_pays", "bank_refuses", "expire"])
    )
    def the_payer_does(self, which: int, what: str) -> None:
        self.at_stripe(what, self.payments[which % len(self.payments)].session_id)

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, cents=PARTS, how=WAYS_BACK, pending=st.booleans(), heard=MOSTLY)
    def something_goes_back(self, which: int, cents: int | None, how: str, pending: bool, heard: bool) -> None:
        session_id = self.payments[which % len(self.payments)].session_id
        if how == "refund":
            self.at_stripe("refund", session_id, cents, "waiting" if pending else "succeeded")
        else:
            self.at_stripe("open_dispute", session_id, cents, how == "inquiry")
        if heard:
            self.all_is_told()

    @precondition(lambda self: self.payments)
    @rule(
        which=WHICH,
        nth=st.integers(0, 3),
        what=st.sampled_from(
            ["settle_refund", "fail_refund", "escalate_dispute", "win_dispute", "lose_dispute", "close_inquiry"]
        ),
        heard=MOSTLY,
    )
    def something_is_decided(self, which: int, nth: int, what: str, heard: bool) -> None:
        seen = self.run(self.cashier.seen(self.payments[which % len(self.payments)]))
        refunds = [refund.stripe_refund_id for refund in seen.refunds]
        ids = refunds if "refund" in what else [dispute.dispute_id for dispute in seen.disputes]
        if ids:
            self.at_stripe(what, ids[nth % len(ids)])
        if heard:
            self.all_is_told()

    @precondition(lambda self: self.payments)
    @rule(which=WHICH, cents=PARTS, won=st.booleans(), back=st.booleans(), written_off=st.booleans())
    def a_payment_is_disputed_to_the_end(
        self, which: int, cents: int | None, won: bool, back: bool, written_off: bool
    ) -> None:
        payment = self.payments[which % len(self.payments)]
        if back:
            self.want_back(None)
        self.something_goes_back(which, cents, "dispute", pending=False, heard=True)
        if written_off:
            self.write_off()
        for dispute in self.run(self.cashier.seen(payment)).disputes:
            self.at_stripe("win_dispute" if won else "lose_dispute", dispute.dispute_id)
        self.all_is_told()

    @precondition(lambda self: self.guests)
    @rule(then_disputed=MOSTLY, which=WHICH, won=st.booleans(), written_off=st.booleans())
    def what_there_is_is_used_up(self, then_disputed: bool, which: int, won: bool, written_off: bool) -> None:
        for _ in range(3):
            self.time_passes(5 * HOUR, watched=True, schedulers=1)
        if then_disputed and self.payments:
            self.a_payment_is_disputed_to_the_end(which, None, won, back=False, written_off=written_off)

    @precondition(lambda self: self.untold)
    @rule(which=WHICH, times=st.integers(1, 3), again=st.booleans())
    def stripe_tells(self, which: int, times: int, again: bool) -> None:
        at = which % len(self.untold)
        event = self.untold[at] if again else self.untold.pop(at)

        async def at_once() -> list[bool]:
            return await asyncio.gather(*(self.cashier.told(event) for _ in range(times)))

        applied = self.run(at_once())
        assert any(applied) or again
        self.reference_hears(event)

    @rule()
    def all_is_told(self) -> None:
        for event in self.untold:
            assert self.run(self.cashier.told(event))
            self.reference_hears(event)
        self.untold.clear()

    @rule()
    def sweep(self) -> None:
        # In which order several payments are looked at is nobody's promise, and a debt may hang on it.
        for payment in self.payments[1:]:
            self.run(self.cashier.look(payment))
            self.reference_looks(payment)
        self.run(self.cashier.sweep())
        for payment in self.payments:
            self.reference_looks(payment)

    @rule(cents=PARTS)
    def want_back(self, cents: int | None) -> None:
        funds = self.reference.funds
        most = sum(amount for _, amount in funds.refunds_of(None))
        wanted = None if cents is None else cents * CENT
        before = self.run(self.house.wallet_now())
        if not most or (wanted is not None and wanted > most):
            with pytest.raises(MoreThanRefundable if most else NothingToRefund) as refused:
                self.run(self.cashier.refund(wanted))
            assert refused.value.facts == ({"refundable": most, "requested": wanted} if most else {})
            assert self.run(self.house.wallet_now()) == before, "a refused request leaves everything as it was"
            return
        expected = funds.refunds_of(wanted)
        chosen = self.run(self.cashier.refund(wanted))
        assert [(one.payment_id, one.taken.taken) for one in chosen] == [(paid.id, part) for paid, part in expected]
        for one, (payment, part) in zip(chosen, expected, strict=True):
            key = str(one.requested.refund_id)
            funds.refund(payment, key, part)
            if self.run(self.cashier.payment(payment.id)).refunds[key].state == "failed":
                # Stripe has less left of it than is known here, so that it would not.
                funds.give_back(payment, key)

    @rule()
    def write_off(self) -> None:
        if self.reference.funds.owed:
            self.run(self.cashier.write_off())
            self.reference.funds.write_off()
        else:
            with pytest.raises(NothingOwed):
                self.run(self.cashier.write_off())

    @precondition(lambda self: self.correctable)
    @rule(which=WHICH, share=st.integers(1, 4))
    def correct(self, which: int, share: int) -> None:
        event_id, event = self.correctable[which % len(self.correctable)]
        funds, so_far = self.reference.funds, self.corrected.get(event_id, 0)
        whole: int
        if isinstance(event, MinutesMetered):
            whole = sum(line.amount for line in event.lines)
        else:
            assert isinstance(event, FundsCredited)
            whole = -event.amount
        amount = whole // share
        if amount == 0 or abs(so_far + amount) > abs(whole):
            with pytest.raises(Invalid):
                self.run(self.cashier.correct(event_id, event, amount))
        elif -amount > funds.balance:
            with pytest.raises(InsufficientBalance):
                self.run(self.cashier.correct(event_id, event, amount))
        else:
            self.run(self.cashier.correct(event_id, event, amount))
            self.corrected[event_id] = so_far + amount
            funds.correct(amount, given=isinstance(event, FundsCredited))

    def at_stripe(self, what: str, *arguments: object) -> None:
        """Have something happen at Stripe, if it can; what Stripe tells of it is not heard yet."""
        try:
            getattr(self.cashier.stripe.dashboard, what)(*arguments)
        except ApiError:
            return
        finally:
            events = self.cashier.stripe.events()
            self.untold += events[self.known_events :]
            self.known_events = len(events)

    def reference_hears(self, event: dict[str, Any]) -> None:
        """Whoever hears of something looks at the payment that it is about, as it is by then."""
        about = event["data"]["object"]
        for payment in self.payments:
            seen = self.run(self.cashier.seen(payment))
            ids = {seen.session_id, seen.payment_intent_id or seen.session_id}
            if event["type"] in HANDLED_KINDS and {about["id"], about.get("payment_intent")} & ids:
                self.reference_looks(payment)

    def reference_looks(self, payment: Payment) -> None:
        paid = next(one for one in self.reference.funds.payments if one.id == payment.payment_id)
        if self.reference.funds.look(paid, self.run(self.cashier.seen(payment))):
            self.reference.freeze(self.clock.now())

    def in_the_end_all_is_settled(self) -> None:
        """Whatever is open at Stripe comes to an end, is found by the sweep, and leaves nothing unexplained."""
        for payment in self.payments:
            seen = self.run(self.cashier.seen(payment))
            for what in ("expire", "bank_refuses"):
                self.at_stripe(what, payment.session_id)
            for refund in seen.refunds:
                self.at_stripe("settle_refund", refund.stripe_refund_id)
            for number, dispute in enumerate(seen.disputes):
                self.at_stripe("close_inquiry", dispute.dispute_id)
                self.at_stripe("win_dispute" if number % 2 else "lose_dispute", dispute.dispute_id)
        self.at_stripe("make_available")
        self.sweep()
        self.product_and_reference_agree()
        for account in (
            chart.CLEARING,
            chart.REFUNDS_PAYABLE,
            chart.DISPUTE_RESERVE,
            chart.DISPUTED,
            chart.UNEXPLAINED,
        ):
            assert self.trial.get(account, 0) == 0, account
        for payment in self.payments:
            known, seen = self.run(self.cashier.payment(payment.payment_id)), self.run(self.cashier.seen(payment))
            assert known.credited == (seen.received if seen.state == "paid" else 0), "a credit is a payment at Stripe"
