"""What Stripe kept of a payment is kept of its refunds once, whatever the parts, and given back where one fails."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.books import chart
from domain.ids import RefundId
from domain.money import MicroUsd
from domain.payments.applying import apply_refund_seen, note_refund_refused
from domain.payments.refunds import choose_refunds
from tests.domain.payments.house import TOP_UP, USD, House, dispute, refund, shown
from tests.domain.wallet.wallets import T0

CENT = 10_000
FEE = 590_000


class Keeping(House):
    """A house that keeps Stripe's fee of 0.59 USD of a payment of 10."""

    def part(self, amount: int) -> str:
        """Ask a part of the payment back; return the refund's key."""
        self.ids += 1
        ids = [RefundId(UUID(int=self.ids))]
        payments = list(self.payments.values())
        fees = {TOP_UP: MicroUsd(FEE)}
        (chosen,) = choose_refunds(payments, self.wallet, MicroUsd(amount), "requested", ids, T0, fees)
        self.move(chosen.taken)
        self.note(TOP_UP, chosen.requested, *([chosen.fee_kept] if chosen.fee_kept else []))
        return str(chosen.requested.refund_id)

    def refused(self, key: str) -> None:
        """Have Stripe not make a refund."""
        one = self.payments[TOP_UP].refunds[key]
        assert one.refund_id is not None
        self.apply(note_refund_refused(self.payments[TOP_UP], self.wallet, one.refund_id, T0))


def paid() -> Keeping:
    house = Keeping()
    house.paid(10 * USD)
    return house


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_all_parts_together_keep_the_share_of_the_fee_that_they_are(cents: list[int]) -> None:
    house, asked = paid(), 0
    for part in cents:
        if (asked + part) * CENT > 10 * USD:
            break
        house.part(part * CENT)
        asked += part
    refunds = house.payments[TOP_UP].refunds.values()

    assert house.wallet.balance == 10 * USD - asked * CENT
    assert sum(one.amount + one.fee for one in refunds) == asked * CENT
    assert all(one.amount >= CENT and one.amount % CENT == 0 for one in refunds)
    share = FEE * asked * CENT / (10 * USD)
    # Of single cents, one goes back each, so that less may be kept; never more.
    assert sum(one.fee for one in refunds) <= share
    if all(part >= 20 for part in cents):
        assert sum(one.fee for one in refunds) > share - CENT
    assert house.books[chart.REFUNDS_PAYABLE] == -sum(one.amount for one in refunds)
    assert house.books.get(chart.REFUND_FEES, 0) == -sum(one.fee for one in refunds)


def test_all_of_a_payment_keeps_all_of_its_fee() -> None:
    house = paid()
    key = house.part(10 * USD)

    refund_of = house.payments[TOP_UP].refunds[key]
    assert (refund_of.amount, refund_of.fee, house.payments[TOP_UP].left) == (9_410_000, FEE, 0)


def test_a_refund_that_is_refused_gives_back_all_and_the_next_one_keeps_the_fee_again() -> None:
    house = paid()
    house.refused(house.part(10 * USD))

    assert house.wallet.balance == 10 * USD
    assert (house.books[chart.REFUND_FEES], house.books[chart.REFUNDS_PAYABLE]) == (0, 0)
    assert house.payments[TOP_UP].left == 10 * USD
    key = house.part(10 * USD)
    assert house.payments[TOP_UP].refunds[key].fee == FEE


def test_a_refund_that_fails_after_it_was_settled_gives_back_all() -> None:
    house = paid()
    key = house.part(10 * USD)
    one = house.payments[TOP_UP].refunds[key]
    for state in ("settled", "failed"):
        seen = refund(one.amount, state, "re_1", one.refund_id)
        house.apply(apply_refund_seen(house.payments[TOP_UP], house.wallet, seen, T0))

    assert house.wallet.balance == 10 * USD
    assert (house.books[chart.REFUND_FEES], house.books[chart.REFUNDS_PAYABLE]) == (0, 0)


def test_a_dispute_of_what_went_back_and_a_refund_that_fails_then_come_to_the_same() -> None:
    """The refund fails while a dispute over all of it stands: what comes back undoes our loss."""
    house = paid()
    key = house.part(10 * USD)
    house.look(shown(10 * USD, disputes=(dispute(10 * USD, "open"),)))
    house.refused(key)

    assert house.wallet.balance == 0
    assert house.payments[TOP_UP].clawed == 10 * USD
    assert (house.books[chart.REFUND_FEES], house.books[chart.REFUNDS_PAYABLE]) == (0, 0)
    assert house.books.get(chart.PAYMENT_LOSSES, 0) == 0
    assert sum(house.books.values()) == 0
