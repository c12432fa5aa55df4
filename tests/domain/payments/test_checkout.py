"""Checkouts: asking to add funds, and what becomes of it before anything is paid."""

import pytest

from domain.errors import Invalid
from domain.money import MicroUsd
from domain.payments.checkout import note_expired, note_opened, note_refused, request_checkout
from domain.payments.commands import RequestCheckout
from domain.payments.events import CheckoutExpired, CheckoutFailed, CheckoutOpened, CheckoutRequested
from domain.payments.payment import FOLD
from domain.payments.ports import OpenedCheckout
from domain.time import Instant
from tests.domain.payments.house import TOP_UP, USD, House, shown
from tests.domain.wallet.wallets import ACCOUNT, T0

OPENED = OpenedCheckout("cs_1", "https://checkout.example/1", Instant(T0 + 1))


@pytest.mark.parametrize("amount", [5_000_000, 12_340_000, 50_000_000])
def test_funds_are_asked_for_in_whole_cents(amount: int) -> None:
    asked = request_checkout(None, RequestCheckout(TOP_UP, ACCOUNT, MicroUsd(amount)), T0)

    assert asked == (CheckoutRequested(ACCOUNT, TOP_UP, MicroUsd(amount), T0),)


@pytest.mark.parametrize("amount", [4_990_000, 50_010_000, 10_000_001, 9_995_000, 0, -5_000_000])
def test_less_than_5_more_than_50_dollars_and_parts_of_cents_are_refused(amount: int) -> None:
    with pytest.raises(Invalid) as refused:
        request_checkout(None, RequestCheckout(TOP_UP, ACCOUNT, MicroUsd(amount)), T0)

    assert refused.value.facts == {"fields": {"amount": "must be from 5.00 to 50.00 USD, in whole cents"}}


def test_a_checkout_is_asked_for_once() -> None:
    house = House()
    payment = house.ask(10 * USD)

    assert request_checkout(payment, RequestCheckout(TOP_UP, ACCOUNT, MicroUsd(10 * USD)), T0) == ()


def test_where_to_pay_is_known_once_stripe_has_told() -> None:
    house = House()
    payment = house.ask(10 * USD)

    opened = note_opened(payment, OPENED)
    house.note(TOP_UP, *opened)

    assert opened == (CheckoutOpened(ACCOUNT, TOP_UP, "cs_1", "https://checkout.example/1", OPENED.expires_at),)
    assert (house.payments[TOP_UP].state, house.payments[TOP_UP].url) == ("open", "https://checkout.example/1")
    assert note_opened(house.payments[TOP_UP], OPENED) == ()


def test_what_stripe_will_not_open_has_failed() -> None:
    house = House()

    house.note(TOP_UP, *note_refused(house.ask(10 * USD)))

    assert house.recorded[-1] == CheckoutFailed(ACCOUNT, TOP_UP, "refused")
    assert house.payments[TOP_UP].state == "failed"
    assert not house.payments[TOP_UP].awaits_stripe


def test_what_was_opened_is_no_longer_refused() -> None:
    house = House()
    house.ask(10 * USD)
    house.opened()

    assert note_refused(house.payments[TOP_UP]) == ()


def test_a_checkout_that_nobody_pays_expires() -> None:
    house = House()
    house.ask(10 * USD)
    house.opened()

    house.note(TOP_UP, *note_expired(house.payments[TOP_UP]))

    assert house.recorded[-1] == CheckoutExpired(ACCOUNT, TOP_UP)
    assert note_expired(house.payments[TOP_UP]) == ()


def test_what_is_paid_does_not_expire() -> None:
    house = House()
    house.paid()

    assert note_expired(house.payments[TOP_UP]) == ()
    assert note_opened(house.payments[TOP_UP], OPENED) == ()


def test_a_payment_waits_for_stripe_until_it_is_paid_or_over() -> None:
    house = House()
    assert house.ask(10 * USD).awaits_stripe

    house.look(shown())

    assert not house.payments[TOP_UP].awaits_stripe


def test_of_a_payment_that_nobody_asked_for_nothing_is_known() -> None:
    assert FOLD.evolve(None, CheckoutExpired(ACCOUNT, TOP_UP)) is None
