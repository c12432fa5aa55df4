"""Receipts: a payment is credited once, as it was asked for, whatever is shown of it and in which order."""

from itertools import permutations
from typing import Any

import pytest

from domain.ids import payment_stream, wallet_stream
from domain.money import MicroUsd
from domain.payments.events import CheckoutExpired, CheckoutFailed, PaymentMismatched, PaymentReceived
from domain.payments.ports import SeenPayment
from domain.wallet.events import FundsAdded, ReceivablePaid
from tests.domain.payments.house import SECOND, TOP_UP, USD, House, dispute, refund, shown
from tests.domain.wallet.wallets import ACCOUNT

ELSEWHERE = "00000000-0000-0000-0000-000000000099"


def asked(amount: int = 10 * USD) -> House:
    house = House()
    house.ask(amount)
    return house


def not_paid(state: str) -> SeenPayment:
    return shown(state=state, payment_intent_id=None, charge_id=None, received=MicroUsd(0))


def test_a_payment_that_is_received_is_credited() -> None:
    house = asked()

    applied = house.look(shown())

    assert applied.payment_events == (PaymentReceived(ACCOUNT, TOP_UP, "cs_71", "pi_71", "ch_71", MicroUsd(10 * USD)),)
    assert applied.wallet_events == (FundsAdded(ACCOUNT, TOP_UP, MicroUsd(10 * USD)),)
    assert house.wallet.balance == house.wallet.refundable == 10 * USD


def test_what_a_look_comes_to_is_recorded_of_the_payment_and_of_the_wallet() -> None:
    house = asked()

    events = house.look(shown()).events(house.wallet)

    assert [(stream, type(event)) for stream, event in events] == [
        (payment_stream(TOP_UP), PaymentReceived),
        (wallet_stream(ACCOUNT), FundsAdded),
    ]


def test_the_receipt_is_claimed_by_its_payment_intent() -> None:
    applied = asked().look(shown())

    assert [(claim.scope, claim.key, claim.holder) for claim in applied.claims] == [("stripe", b"pi_71:paid", TOP_UP)]


def test_a_payment_that_is_shown_twice_is_credited_once() -> None:
    house = asked()
    house.look(shown())

    again = house.look(shown())

    assert (again.payment_events, again.wallet_events, again.claims, again.released) == ((), (), (), ())


@pytest.mark.parametrize("order", list(permutations(["open", "unpaid", "paid"])))
def test_in_whatever_order_its_states_are_shown_a_payment_is_credited_once(order: tuple[str, ...]) -> None:
    house = asked()
    for state in order:
        house.look(shown() if state == "paid" else not_paid(state))

    assert house.wallet.balance == 10 * USD
    assert house.payments[TOP_UP].state == "received"


def test_nothing_is_credited_while_the_bank_decides_and_nothing_if_it_declines() -> None:
    house = asked()

    assert house.look(not_paid("unpaid")).payment_events == ()
    assert house.look(not_paid("declined")).payment_events == (CheckoutFailed(ACCOUNT, TOP_UP, "declined"),)
    assert house.look(not_paid("declined")).payment_events == ()
    assert house.wallet.balance == 0


def test_a_session_that_expired_is_over() -> None:
    house = asked()
    house.opened("cs_71")

    assert house.look(not_paid("expired")).payment_events == (CheckoutExpired(ACCOUNT, TOP_UP),)
    assert house.look(not_paid("expired")).payment_events == ()


@pytest.mark.parametrize("over", ["expired", "declined"])
def test_money_that_comes_after_all_is_credited(over: str) -> None:
    house = asked()
    house.look(not_paid(over))

    house.look(shown())

    assert house.wallet.balance == 10 * USD


@pytest.mark.parametrize(
    ("changes", "field", "expected", "seen"),
    [
        ({"amount": MicroUsd(5 * USD)}, "amount", "10000000", "5000000"),
        ({"amount": MicroUsd(5 * USD), "received": MicroUsd(10 * USD)}, "amount", "10000000", "5000000"),
        ({"received": MicroUsd(9_990_000)}, "amount", "10000000", "9990000"),
        ({"received": MicroUsd(10_010_000)}, "amount", "10000000", "10010000"),
        ({"currency": "eur"}, "currency", "usd", "eur"),
        ({"mode": "subscription"}, "mode", "payment", "subscription"),
        ({"account_reference": ELSEWHERE}, "account", str(ACCOUNT), ELSEWHERE),
        ({"account_reference": None}, "account", str(ACCOUNT), "None"),
        ({"payment_reference": ELSEWHERE}, "payment", str(TOP_UP), ELSEWHERE),
        ({"payment_reference": None}, "payment", str(TOP_UP), "None"),
    ],
)
def test_what_is_not_as_asked_for_is_told_once_and_never_credited(
    changes: dict[str, Any], field: str, expected: str, seen: str
) -> None:
    house = asked()

    first = house.look(shown(**changes))
    again = house.look(shown(**changes))
    house.look(shown())

    assert first.payment_events == (PaymentMismatched(ACCOUNT, TOP_UP, field, expected, seen),)
    assert again.payment_events == ()
    assert (house.wallet.balance, house.payments[TOP_UP].state) == (0, "mismatched")


def test_a_mismatch_is_told_before_anything_is_paid() -> None:
    house = asked()

    house.look(shown(state="open", received=MicroUsd(0), currency="eur"))

    assert isinstance(house.recorded[-1], PaymentMismatched)


def test_what_goes_back_of_a_payment_that_was_never_credited_is_no_matter_of_the_wallet() -> None:
    house = asked()
    house.look(shown(currency="eur"))

    applied = house.look(shown(currency="eur", refunds=(refund(5 * USD, "settled"),), disputes=(dispute(USD, "lost"),)))

    assert (applied.payment_events, applied.wallet_events) == ((), ())


def test_a_second_session_in_the_name_of_one_payment_is_told_and_touches_nothing() -> None:
    house = asked()
    house.look(shown())
    second = shown(session_id="cs_2", payment_intent_id="pi_2", refunds=(refund(10 * USD, "settled"),))

    applied = house.look(second)

    assert applied.payment_events == (PaymentMismatched(ACCOUNT, TOP_UP, "session", "cs_71", "cs_2"),)
    assert applied.wallet_events == ()
    assert house.payments[TOP_UP].state == "received"


def test_what_somebody_edits_at_stripe_after_the_receipt_does_not_hide_a_dispute() -> None:
    house = asked()
    house.look(shown())

    house.look(shown(account_reference=ELSEWHERE, disputes=(dispute(10 * USD, "open"),)))

    assert house.payments[TOP_UP].mismatched
    assert house.wallet.balance == 0


def test_a_payment_first_pays_what_is_owed() -> None:
    house = asked()
    house.look(shown())
    house.spend(10 * USD)
    house.look(shown(disputes=(dispute(4 * USD, "open"),)))
    house.ask(10 * USD, SECOND)

    applied = house.look(shown(10 * USD, SECOND))

    assert applied.wallet_events[1:] == (ReceivablePaid(ACCOUNT, MicroUsd(4 * USD)),)
    assert (house.wallet.balance, house.wallet.receivable) == (6 * USD, 0)
