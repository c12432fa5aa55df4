"""Disputes: asked about, opened, withdrawn, won, lost, and what the account bears of them."""

import pytest

from domain.books import chart
from domain.money import MicroUsd
from domain.payments.applying import Applied
from domain.payments.events import DisputeLost, DisputeOpened, DisputeWon, InquiryClosed
from domain.payments.ports import SeenDispute
from domain.wallet.events import FundsReturned, FundsTaken, ReceivablePaid, VpsReleased
from tests.domain.payments.house import TOP_UP, USD, House, dispute, refund, shown
from tests.domain.wallet.wallets import ACCOUNT, T0, WEB

NOTHING = MicroUsd(0)


def paid(*, spent: int = 0, credited: int = 0) -> House:
    """Return a house with a payment of 10 USD."""
    house = House()
    house.paid(10 * USD)
    if spent:
        house.spend(spent)
    if credited:
        house.credit(credited)
    return house


def look(house: House, *disputes: SeenDispute) -> Applied:
    return house.look(shown(disputes=disputes))


def test_a_dispute_takes_its_amount_from_the_balance() -> None:
    house = paid()

    applied = look(house, dispute(4 * USD, "open"))

    assert applied.payment_events == (
        DisputeOpened(ACCOUNT, TOP_UP, "dp_1", MicroUsd(4 * USD), NOTHING, NOTHING, inquiry=False),
    )
    assert applied.wallet_events == (
        FundsTaken(ACCOUNT, TOP_UP, "dispute", "dp_1", MicroUsd(4 * USD), NOTHING, NOTHING),
    )
    assert [claim.key for claim in applied.claims] == [b"dp_1:open"]
    assert house.wallet.balance == 6 * USD
    assert house.payments[TOP_UP].awaits_stripe


def test_a_dispute_that_is_shown_again_takes_nothing_more() -> None:
    house = paid()
    look(house, dispute(4 * USD, "open"))

    again = look(house, dispute(4 * USD, "open"))

    assert (again.payment_events, again.wallet_events, again.claims) == ((), (), ())


def test_what_the_balance_does_not_cover_is_owed_and_everything_of_the_account_stops() -> None:
    house = paid(spent=8 * USD)

    applied = look(house, dispute(10 * USD, "open"))

    assert applied.wallet_events == (
        FundsTaken(ACCOUNT, TOP_UP, "dispute", "dp_1", MicroUsd(2 * USD), MicroUsd(8 * USD), NOTHING),
        VpsReleased(WEB, 1, T0, "frozen"),
    )
    assert applied.released == ((WEB, 1),)
    assert house.wallet.frozen


def test_a_balance_that_just_covers_it_freezes_nobody() -> None:
    house = paid(spent=2 * USD)

    assert look(house, dispute(8 * USD, "open")).released == ()
    assert not house.wallet.frozen


def test_a_second_debt_has_nothing_left_to_stop() -> None:
    house = paid(spent=10 * USD)
    look(house, dispute(4 * USD, "open"))

    assert look(house, dispute(4 * USD, "open"), dispute(4 * USD, "open", "dp_2")).released == ()
    assert house.wallet.receivable == 8 * USD


def test_a_dispute_that_is_won_comes_back() -> None:
    house = paid()
    look(house, dispute(4 * USD, "open"))

    won = look(house, dispute(4 * USD, "won"))

    assert won.payment_events == (DisputeWon(ACCOUNT, TOP_UP, "dp_1", MicroUsd(4 * USD)),)
    assert won.wallet_events == (FundsReturned(ACCOUNT, TOP_UP, "dispute-won", "dp_1", MicroUsd(4 * USD), NOTHING),)
    assert [claim.key for claim in won.claims] == [b"dp_1:won"]
    assert house.wallet.balance == house.payments[TOP_UP].left == 10 * USD


def test_a_dispute_that_is_won_pays_what_it_made_the_account_owe() -> None:
    house = paid(spent=8 * USD)
    look(house, dispute(10 * USD, "open"))

    won = look(house, dispute(10 * USD, "won"))

    assert won.wallet_events[1:] == (ReceivablePaid(ACCOUNT, MicroUsd(8 * USD)),)
    assert (house.wallet.balance, house.wallet.receivable) == (2 * USD, 0)


def test_gifts_that_a_dispute_took_come_back_as_gifts() -> None:
    house = paid(spent=8 * USD, credited=5 * USD)
    look(house, dispute(6 * USD, "open"))
    assert (house.wallet.balance, house.wallet.goodwill) == (1 * USD, 1 * USD)

    look(house, dispute(6 * USD, "won"))

    assert (house.wallet.balance, house.wallet.goodwill) == (7 * USD, 5 * USD)


def test_a_dispute_that_is_lost_is_gone() -> None:
    house = paid()
    look(house, dispute(4 * USD, "open"))

    lost = look(house, dispute(4 * USD, "lost"))

    assert lost.payment_events == (DisputeLost(ACCOUNT, TOP_UP, "dp_1", MicroUsd(4 * USD)),)
    assert lost.wallet_events == ()
    assert [claim.key for claim in lost.claims] == [b"dp_1:lost"]
    assert house.wallet.balance == house.payments[TOP_UP].left == 6 * USD
    assert not house.payments[TOP_UP].awaits_stripe


def test_a_dispute_that_was_opened_and_lost_unseen_is_told_as_both() -> None:
    house = paid()

    lost = look(house, dispute(4 * USD, "lost"))

    assert [type(event) for event in lost.payment_events] == [DisputeOpened, DisputeLost]
    assert house.wallet.balance == 6 * USD


def test_a_dispute_that_was_opened_and_won_unseen_took_nothing_and_gives_nothing_back() -> None:
    house = paid(spent=10 * USD)

    won = look(house, dispute(4 * USD, "won"))

    assert won.payment_events == (DisputeWon(ACCOUNT, TOP_UP, "dp_1", MicroUsd(4 * USD)),)
    assert (won.wallet_events, won.released, house.wallet.balance) == ((), (), 0)


@pytest.mark.parametrize(("first", "then"), [("won", "lost"), ("lost", "won"), ("won", "open"), ("lost", "open")])
def test_of_two_ends_the_first_that_was_seen_stays(first: str, then: str) -> None:
    house = paid()
    look(house, dispute(4 * USD, first))
    balance = house.wallet.balance

    later = look(house, dispute(4 * USD, then))

    assert (later.payment_events, later.wallet_events, house.wallet.balance) == ((), (), balance)


def test_a_bank_that_only_asks_takes_nothing() -> None:
    house = paid()

    asked = look(house, dispute(4 * USD, "inquiry"))

    assert asked.payment_events == (
        DisputeOpened(ACCOUNT, TOP_UP, "dp_1", MicroUsd(4 * USD), NOTHING, NOTHING, inquiry=True),
    )
    assert (asked.wallet_events, house.wallet.balance) == ((), 10 * USD)
    assert house.payments[TOP_UP].awaits_stripe
    assert look(house, dispute(4 * USD, "inquiry")).payment_events == ()


def test_a_bank_that_asks_no_more_leaves_nothing_behind() -> None:
    house = paid()
    look(house, dispute(4 * USD, "inquiry"))

    closed = look(house, dispute(4 * USD, "inquiry-closed"))

    assert closed.payment_events == (InquiryClosed(ACCOUNT, TOP_UP, "dp_1"),)
    assert look(house, dispute(4 * USD, "inquiry-closed")).payment_events == ()
    assert look(house, dispute(4 * USD, "inquiry")).payment_events == ()
    assert not house.payments[TOP_UP].awaits_stripe


def test_an_inquiry_that_was_opened_and_closed_unseen_is_told_as_both() -> None:
    assert [type(event) for event in look(paid(), dispute(USD, "inquiry-closed")).payment_events] == [
        DisputeOpened,
        InquiryClosed,
    ]


@pytest.mark.parametrize("before", ["inquiry", "inquiry-closed"])
def test_a_bank_that_asked_can_still_want_the_money_back(before: str) -> None:
    house = paid()
    look(house, dispute(4 * USD, before))

    look(house, dispute(4 * USD, "open"))
    stale = look(house, dispute(4 * USD, before))

    assert (house.wallet.balance, stale.payment_events) == (6 * USD, ())


def test_the_customer_bears_no_more_of_a_refunded_payment_than_is_left_of_it() -> None:
    house = paid()
    refunded = refund(4 * USD, "settled")
    house.look(shown(refunds=(refunded,)))

    house.look(shown(refunds=(refunded,), disputes=(dispute(10 * USD, "open"),)))

    taken = house.recorded[-1]
    assert isinstance(taken, FundsTaken)
    assert (taken.taken, taken.owed, taken.absorbed) == (6 * USD, 0, 4 * USD)
    assert house.books[chart.PAYMENT_LOSSES] == 4 * USD


def test_a_refund_that_fails_under_a_dispute_goes_to_what_we_had_absorbed() -> None:
    house = paid()
    house.look(shown(refunds=(refund(4 * USD, "settled"),), disputes=(dispute(10 * USD, "open"),)))

    failed = house.look(shown(refunds=(refund(4 * USD, "failed"),), disputes=(dispute(10 * USD, "open"),)))

    assert failed.wallet_events == (
        FundsReturned(ACCOUNT, TOP_UP, "refund-failed", "re_1", NOTHING, MicroUsd(4 * USD)),
    )
    assert (house.wallet.balance, house.books[chart.PAYMENT_LOSSES]) == (0, 0)


def test_two_disputes_over_one_payment_cost_the_customer_one_payment() -> None:
    house = paid(credited=20 * USD)

    look(house, dispute(10 * USD, "open"), dispute(10 * USD, "open", "dp_2"))

    assert (house.wallet.balance, house.wallet.goodwill) == (20 * USD, 20 * USD)


def test_a_refund_after_a_dispute_that_was_won_takes_its_whole_amount() -> None:
    house = paid()
    look(house, dispute(10 * USD, "open"))
    look(house, dispute(10 * USD, "won"))

    house.look(shown(refunds=(refund(10 * USD, "settled"),), disputes=(dispute(10 * USD, "won"),)))

    assert (house.wallet.balance, house.wallet.receivable) == (0, 0)
    assert house.books.get(chart.PAYMENT_LOSSES, 0) == 0


def test_a_dispute_that_is_won_as_a_refund_is_made_freezes_nobody() -> None:
    house = paid(spent=4 * USD)
    look(house, dispute(5 * USD, "open"))

    applied = house.look(shown(refunds=(refund(5 * USD, "pending"),), disputes=(dispute(5 * USD, "won"),)))

    assert (applied.released, house.wallet.balance) == ((), 1 * USD)


def test_a_dispute_over_nothing_is_none() -> None:
    assert look(paid(), dispute(0, "open")).payment_events == ()
