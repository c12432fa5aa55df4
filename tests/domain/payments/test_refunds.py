"""Refunds: asked for here, settled, failed, or made in Stripe's dashboard."""

from uuid import UUID

import pytest

from domain.errors import Invalid, InvariantBroken
from domain.ids import AccountId, RefundId
from domain.money import MicroUsd
from domain.payments.applying import Applied, apply_refund_seen, note_refund_refused
from domain.payments.events import OutsideRefundFound, RefundFailed, RefundOpened, RefundRequested, RefundSettled
from domain.payments.ports import SeenRefund
from domain.payments.refunds import REFUNDABLE_FOR, NothingToRefund, refundable
from domain.time import Instant
from domain.wallet.events import FundsReturned, FundsTaken, VpsReleased
from domain.wallet.paid_in import MoreThanRefundable
from tests.domain.payments.house import SECOND, TOP_UP, USD, House, dispute, refund, shown
from tests.domain.wallet.wallets import ACCOUNT, T0, WEB


def paid(amount: int = 10 * USD) -> House:
    house = House()
    house.paid(amount)
    return house


def seen_of(house: House, refund_id: RefundId, state: str) -> Applied:
    """Show one refund of the top-up as Stripe answers when it is asked to make it."""
    seen = refund(house.payments[TOP_UP].refunds[str(refund_id)].amount, state, "re_1", refund_id)
    applied = apply_refund_seen(house.payments[TOP_UP], house.wallet, seen, T0)
    house.apply(applied)
    return applied


def look(house: House, *refunds: SeenRefund) -> Applied:
    return house.look(shown(house.payments[TOP_UP].amount, refunds=refunds))


# Asked for here.


def test_a_refund_is_taken_from_the_balance_when_it_is_asked_for() -> None:
    house = paid()

    [(payment_id, refund_id, amount)] = house.refund(4 * USD)

    assert (payment_id, amount) == (TOP_UP, 4 * USD)
    assert house.recorded[-2:] == [
        RefundRequested(ACCOUNT, TOP_UP, refund_id, MicroUsd(4 * USD), "requested"),
        FundsTaken(ACCOUNT, TOP_UP, "refund", str(refund_id), MicroUsd(4 * USD), MicroUsd(0), MicroUsd(0)),
    ]
    assert house.wallet.balance == 6 * USD
    assert house.payments[TOP_UP].left == 6 * USD


def test_all_that_is_unused_goes_back_if_no_amount_is_told() -> None:
    house = paid()
    house.spend(3 * USD)

    assert [amount for _, _, amount in house.refund(None)] == [7 * USD]


def test_money_goes_back_to_the_newest_payment_first_and_to_each_no_more_than_it_brought() -> None:
    house = House()
    house.paid(10 * USD, TOP_UP, now=T0)
    house.paid(5 * USD, SECOND, now=Instant(T0 + 1))

    assert [(one, amount) for one, _, amount in house.refund(8 * USD)] == [(SECOND, 5 * USD), (TOP_UP, 3 * USD)]
    assert [(one, amount) for one, _, amount in house.refund(None)] == [(TOP_UP, 7 * USD)]


def test_parts_of_a_cent_stay_in_the_balance() -> None:
    house = paid()
    house.spend(70)

    assert [amount for _, _, amount in house.refund(None)] == [9_990_000]
    assert house.wallet.balance == 9_930


def test_what_was_given_never_goes_back_as_money() -> None:
    house = paid()
    house.credit(5 * USD)

    assert refundable(house.payments.values(), house.wallet, T0) == 10 * USD
    with pytest.raises(MoreThanRefundable) as refused:
        house.refund(11 * USD)
    assert refused.value.facts == {"refundable": 10 * USD, "requested": 11 * USD}


def test_minutes_use_up_what_was_given_before_what_was_paid_for() -> None:
    house = paid()
    house.credit(5 * USD)
    house.spend(6 * USD)

    assert [amount for _, _, amount in house.refund(None)] == [9 * USD]


@pytest.mark.parametrize("amount", [0, -10_000, 10_001])
def test_an_amount_that_cannot_be_meant_is_refused(amount: int) -> None:
    with pytest.raises(Invalid):
        paid().refund(amount)


def test_without_a_payment_there_is_nothing_to_refund() -> None:
    house = House()
    house.credit(5 * USD)

    for amount in (None, 5 * USD):
        with pytest.raises(NothingToRefund):
            house.refund(amount)


def test_a_disputed_payment_is_not_refunded() -> None:
    house = paid()
    house.look(shown(disputes=(dispute(4 * USD, "open"),)))

    with pytest.raises(NothingToRefund):
        house.refund(None)


def test_a_payment_is_refunded_after_its_dispute_was_won() -> None:
    house = paid()
    house.look(shown(disputes=(dispute(4 * USD, "open"),)))
    house.look(shown(disputes=(dispute(4 * USD, "won"),)))

    assert [amount for _, _, amount in house.refund(None)] == [10 * USD]


def test_an_old_payment_is_not_refunded() -> None:
    house = paid()

    with pytest.raises(NothingToRefund):
        house.refund(None, now=Instant(T0 + REFUNDABLE_FOR + 1))
    assert house.refund(None, now=Instant(T0 + REFUNDABLE_FOR))


def test_a_refund_that_stripe_has_is_open_and_then_settled() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)

    opened = seen_of(house, refund_id, "pending")
    assert house.payments[TOP_UP].awaits_stripe
    settled = seen_of(house, refund_id, "settled")
    again = seen_of(house, refund_id, "settled")

    assert opened.payment_events == (RefundOpened(ACCOUNT, TOP_UP, refund_id, "re_1"),)
    assert settled.payment_events == (RefundSettled(ACCOUNT, TOP_UP, str(refund_id), MicroUsd(4 * USD)),)
    assert [claim.key for claim in (*opened.claims, *settled.claims)] == [b"re_1:open", b"re_1:settled"]
    assert (opened.wallet_events, settled.wallet_events, again.payment_events) == ((), (), ())
    assert not house.payments[TOP_UP].awaits_stripe


def test_a_refund_that_is_settled_at_once_was_open_before() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)

    applied = seen_of(house, refund_id, "settled")

    assert [type(event) for event in applied.payment_events] == [RefundOpened, RefundSettled]


@pytest.mark.parametrize("before", ["pending", "settled"])
def test_a_refund_that_fails_comes_back(before: str) -> None:
    house = paid()
    [(_, refund_id, amount)] = house.refund(4 * USD)
    seen_of(house, refund_id, before)

    failed = seen_of(house, refund_id, "failed")

    key = str(refund_id)
    assert failed.payment_events == (RefundFailed(ACCOUNT, TOP_UP, key, MicroUsd(amount), before == "settled"),)
    assert failed.wallet_events == (
        FundsReturned(ACCOUNT, TOP_UP, "refund-failed", key, MicroUsd(amount), MicroUsd(0)),
    )
    assert [claim.key for claim in failed.claims] == [b"re_1:failed"]
    assert house.wallet.balance == house.wallet.refundable == house.payments[TOP_UP].left == 10 * USD


def test_a_refund_that_failed_stays_so_whatever_is_told_later() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)
    seen_of(house, refund_id, "failed")

    for state in ("pending", "settled", "failed"):
        assert seen_of(house, refund_id, state).payment_events == ()
    assert house.wallet.balance == 10 * USD


def test_a_refund_that_stripe_refuses_comes_back() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)

    house.apply(note_refund_refused(house.payments[TOP_UP], house.wallet, refund_id, T0))
    again = note_refund_refused(house.payments[TOP_UP], house.wallet, refund_id, T0)

    assert (house.wallet.balance, house.payments[TOP_UP].refunds[str(refund_id)].state) == (10 * USD, "failed")
    assert (again.payment_events, again.wallet_events) == ((), ())


def test_a_refund_that_was_refused_and_is_there_after_all_is_taken_again() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)
    house.apply(note_refund_refused(house.payments[TOP_UP], house.wallet, refund_id, T0))

    look(house, refund(4 * USD, "settled", "re_1", refund_id))

    assert house.wallet.balance == 6 * USD


def test_a_second_refund_under_one_id_of_ours_is_taken_as_well() -> None:
    house = paid()
    [(_, refund_id, _)] = house.refund(4 * USD)

    twice = (refund(4 * USD, "pending", "re_1", refund_id), refund(4 * USD, "pending", "re_2", refund_id))
    look(house, *twice)
    again = look(house, *reversed(twice))

    assert (house.wallet.balance, again.payment_events) == (2 * USD, ())


# Made in the dashboard.


def test_a_refund_that_was_not_asked_for_here_is_clawed_back_once() -> None:
    house = paid()

    applied = look(house, refund(4 * USD, "pending"))
    again = look(house, refund(4 * USD, "pending"))

    nothing = MicroUsd(0)
    assert applied.payment_events == (OutsideRefundFound(ACCOUNT, TOP_UP, "re_1", MicroUsd(4 * USD), nothing, nothing),)
    assert applied.wallet_events == (
        FundsTaken(ACCOUNT, TOP_UP, "outside-refund", "re_1", MicroUsd(4 * USD), nothing, nothing),
    )
    assert [claim.key for claim in applied.claims] == [b"re_1:open"]
    assert (again.payment_events, again.wallet_events, house.wallet.balance) == ((), (), 6 * USD)


def test_several_refunds_of_the_dashboard_each_count() -> None:
    house = paid()
    look(house, refund(4 * USD, "settled"))

    look(house, refund(4 * USD, "settled"), refund(1 * USD, "pending", "re_2"))

    assert house.wallet.balance == 5 * USD


def test_a_refund_of_the_dashboard_that_failed_before_it_was_seen_never_was() -> None:
    applied = look(paid(), refund(4 * USD, "failed"))

    assert (applied.payment_events, applied.wallet_events) == ((), ())


def test_a_refund_of_the_dashboard_that_fails_comes_back() -> None:
    house = paid()
    look(house, refund(4 * USD, "pending"))

    look(house, refund(4 * USD, "failed"))

    assert house.wallet.balance == 10 * USD


def test_what_was_spent_already_is_owed_and_freezes_the_account() -> None:
    house = paid()
    house.spend(8 * USD)

    applied = look(house, refund(10 * USD, "settled"))

    assert (house.wallet.balance, house.wallet.receivable) == (0, 8 * USD)
    assert applied.wallet_events[1:] == (VpsReleased(WEB, 1, T0, "frozen"),)
    assert applied.released == ((WEB, 1),)


def test_one_refund_that_fails_as_another_is_made_freezes_nobody() -> None:
    house = paid()
    house.spend(4 * USD)
    look(house, refund(5 * USD, "pending"))

    applied = look(house, refund(5 * USD, "pending", "re_2"), refund(5 * USD, "failed"))

    assert applied.released == ()
    assert (house.wallet.balance, house.wallet.receivable) == (1 * USD, 0)


def test_a_refund_of_nothing_is_none() -> None:
    assert look(paid(), refund(0, "pending")).payment_events == ()


def test_a_payment_never_meets_the_wallet_of_another_account() -> None:
    house = paid()
    stranger = House(AccountId(UUID(int=2)))

    with pytest.raises(InvariantBroken):
        apply_refund_seen(house.payments[TOP_UP], stranger.wallet, refund(USD, "pending"), T0)
