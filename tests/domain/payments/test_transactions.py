"""Balance transactions: posted when they are first seen, and once more when they can be paid out."""

from domain.books import chart
from domain.money import MicroUsd
from domain.payments.events import StripeBalanceMoved, StripeFundsAvailable, TransactionKind
from domain.payments.transactions import FOLD, apply_transaction
from tests.domain.payments.house import USD, House
from tests.domain.wallet.wallets import ACCOUNT, T0


def moved(
    *, available: bool, kind: TransactionKind = "charge", amount: int = 10 * USD, fee: int = 590_000
) -> StripeBalanceMoved:
    return StripeBalanceMoved("txn_1", kind, "ch_1", MicroUsd(amount), MicroUsd(fee), T0, T0, available)


def test_a_balance_transaction_is_recorded_when_it_is_first_seen() -> None:
    house = House()

    assert house.tell(moved(available=False)) == (moved(available=False),)
    assert house.tell(moved(available=False)) == ()
    assert house.books[chart.PENDING] == 9_410_000


def test_it_becomes_available_once() -> None:
    house = House()
    house.tell(moved(available=False))

    assert house.tell(moved(available=True)) == (StripeFundsAvailable("txn_1", MicroUsd(9_410_000)),)
    assert house.tell(moved(available=True)) == ()
    assert house.tell(moved(available=False)) == ()
    assert (house.books[chart.PENDING], house.books[chart.AVAILABLE]) == (0, 9_410_000)


def test_what_is_available_when_it_is_first_seen_was_never_pending() -> None:
    house = House()

    assert house.tell(moved(available=True)) == (moved(available=True),)
    assert house.tell(moved(available=False)) == ()
    assert chart.PENDING not in house.books


def test_what_others_record_is_no_balance_transaction() -> None:
    assert FOLD.evolve(None, House(ACCOUNT).recorded[0]) is None
    assert apply_transaction(None, moved(available=True))
