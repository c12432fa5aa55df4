"""Whatever Stripe does with payments, and in whatever order it is looked at: the money comes out right."""

from hypothesis import settings
from hypothesis.stateful import invariant

from domain.books import chart
from domain.ids import PaymentId
from domain.payments.events import (
    DisputeLost,
    DisputeOpened,
    DisputeWon,
    InquiryClosed,
    OutsideRefundFound,
    PaymentReceived,
    RefundFailed,
    RefundOpened,
    RefundSettled,
)
from domain.wallet.events import FundsAdded, FundsReturned, FundsTaken
from tests.domain.payments.house import House
from tests.domain.payments.made_up_lives import MadeUpLives
from tests.domain.wallet.wallets import ACCOUNT

STAGES = (
    PaymentReceived, RefundOpened, OutsideRefundFound, RefundSettled, RefundFailed,
    DisputeOpened, DisputeWon, DisputeLost, InquiryClosed,
)  # fmt: skip


class Lives(MadeUpLives):
    """Lives of which everything is compared after each step."""

    # What holds at any time.

    @invariant()
    def the_books_are_balanced(self) -> None:
        assert sum(self.house.books.values()) == 0

    @invariant()
    def the_books_tell_of_the_wallet(self) -> None:
        wallet, books = self.house.wallet, self.house.books
        assert wallet.balance == -books.get(chart.prepaid(ACCOUNT), 0)
        assert wallet.receivable == books.get(chart.receivable(ACCOUNT), 0)
        assert wallet.written_off == books.get(chart.BAD_DEBT, 0)

    @invariant()
    def nothing_is_below_zero_and_who_owes_has_nothing(self) -> None:
        wallet = self.house.wallet
        assert 0 <= wallet.goodwill <= wallet.balance
        assert wallet.written_off >= 0
        assert wallet.receivable >= 0
        assert not (wallet.receivable and wallet.balance)

    @invariant()
    def a_payment_is_credited_once_and_as_asked_for(self) -> None:
        added = [event for event in self.house.recorded if isinstance(event, FundsAdded)]
        assert len(added) == len({event.payment_id for event in added})
        for event in added:
            made = self.stripe.payments[event.payment_id]
            assert made.paid
            assert event.amount == made.seen.received

    @invariant()
    def a_customer_bears_no_more_of_a_payment_than_it_brought(self) -> None:
        for payment_id, payment in self.house.payments.items():
            borne = _borne(self.house, payment_id)
            assert 0 <= borne <= payment.credited
            assert borne == payment.clawed
            assert payment.owed >= 0
            assert payment.goodwill >= 0

    @invariant()
    def what_the_account_has_follows_from_what_came_and_went(self) -> None:
        wallet = self.house.wallet
        paid_in = sum(payment.credited - payment.clawed for payment in self.house.payments.values())
        assert wallet.balance - wallet.receivable - wallet.written_off == self.came_in + paid_in

    @invariant()
    def no_more_can_be_asked_back_than_payments_brought_and_still_have(self) -> None:
        left = sum(payment.left for payment in self.house.payments.values())
        assert self.house.wallet.refundable <= left

    @invariant()
    def every_stage_of_every_object_is_claimed(self) -> None:
        assert len([event for event in self.house.recorded if isinstance(event, STAGES)]) == len(self.house.claims)

    @invariant()
    def nothing_of_who_owes_is_on(self) -> None:
        assert not (self.house.wallet.frozen and list(self.house.wallet.meters_on()))

    # What holds once all is told, and once all is over.

    def teardown(self) -> None:
        self._tell_all()
        self._compare_with_stripe()
        while self.unasked:
            self.make_a_refund()
        for payment in self.stripe.payments.values():
            for at, refund in enumerate(payment.seen.refunds):
                if refund.state == "pending":
                    self.stripe.settle(payment, at)
            for at, dispute in enumerate(payment.seen.disputes):
                if dispute.state == "open":
                    self.stripe.lose(payment, at)
        self._tell_all()
        self._compare_with_stripe()
        over = (chart.CLEARING, chart.REFUNDS_PAYABLE, chart.DISPUTE_RESERVE, chart.DISPUTED, chart.PENDING)
        assert {account: self.house.books.get(account, 0) for account in over} == dict.fromkeys(over, 0)
        self.the_books_are_balanced()
        self.the_books_tell_of_the_wallet()
        self.what_the_account_has_follows_from_what_came_and_went()
        self.a_customer_bears_no_more_of_a_payment_than_it_brought()
        self.nothing_is_below_zero_and_who_owes_has_nothing()

    def _tell_all(self) -> None:
        for payment in self.stripe.payments.values():
            self.house.look(payment.seen)
        for transaction in self.stripe.transactions:
            self.tell(transaction, available=True)

    def _compare_with_stripe(self) -> None:
        """Whatever was seen in between: it comes out as if only the last look had been."""
        books, stripe = self.house.books, self.stripe
        for payment_id, made in stripe.payments.items():
            payment = self.house.payments[payment_id]
            credited = made.seen.received if made.paid else 0
            waiting = sum(amount for one, _, amount in self.unasked if one == payment_id)
            assert payment.credited == credited
            assert payment.gone == made.gone + waiting
            assert payment.clawed == min(credited, made.gone + waiting)
        assert books.get(chart.PENDING, 0) + books.get(chart.AVAILABLE, 0) == stripe.balance
        assert books.get(chart.BANK, 0) == -stripe.sum_of("payout")
        assert books.get(chart.STRIPE_FEES, 0) == stripe.fees
        lost = [one for payment in self.house.payments.values() for one in payment.disputes.values()]
        gone = sum(one.amount for one in lost if one.state == "lost")
        assert books.get(chart.DISPUTED, 0) == -stripe.sum_of("dispute", "dispute-reversal") - gone


def _borne(house: House, payment_id: PaymentId) -> int:
    """Return what the wallet's own events make the customer bear of a payment."""
    taken = (e.taken + e.owed for e in house.recorded if isinstance(e, FundsTaken) and e.payment_id == payment_id)
    back = (e.amount for e in house.recorded if isinstance(e, FundsReturned) and e.payment_id == payment_id)
    return sum(taken) - sum(back)


TestLives = Lives.TestCase
TestLives.settings = settings(stateful_step_count=50)
