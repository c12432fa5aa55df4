"""Debts: given up for want of one payment, and kept back from that one alone, should it come back after all."""

from uuid import UUID

from domain.ids import PaymentId
from domain.money import MicroUsd
from domain.wallet.events import BadDebtRecovered
from domain.wallet.paid_in import write_off
from tests.domain.payments.house import SECOND, USD, dispute, shown
from tests.domain.payments.test_disputes import look, paid
from tests.domain.wallet.wallets import ACCOUNT

THIRD = PaymentId(UUID(int=73))


def test_what_was_written_off_for_a_dispute_is_recovered_when_it_is_won() -> None:
    house = paid(spent=8 * USD)
    look(house, dispute(10 * USD, "open"))
    house.move(*write_off(house.wallet, "gone"))

    won = look(house, dispute(10 * USD, "won"))

    assert won.wallet_events[1:] == (BadDebtRecovered(ACCOUNT, MicroUsd(8 * USD)),)
    assert (house.wallet.balance, house.wallet.written_off) == (2 * USD, 0)


def test_what_was_written_off_for_another_payment_is_not_kept_back_from_one_whose_debt_was_paid() -> None:
    house = paid(spent=10 * USD)
    house.paid(10 * USD, SECOND)
    house.spend(10 * USD)
    look(house, dispute(10 * USD, "lost"))
    house.move(*write_off(house.wallet, "gone"))
    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "open", "dp_2"),)))
    house.paid(10 * USD, THIRD)
    assert (house.wallet.balance, house.wallet.receivable) == (0, 0)

    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "won", "dp_2"),)))

    assert (house.wallet.balance, house.wallet.written_off) == (10 * USD, 10 * USD)


def test_what_comes_back_pays_for_its_own_debt_first() -> None:
    house = paid(spent=10 * USD)
    house.paid(10 * USD, SECOND)
    house.spend(10 * USD)
    look(house, dispute(10 * USD, "open"))
    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "open", "dp_2"),)))
    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "won", "dp_2"),)))
    house.move(*write_off(house.wallet, "gone"))

    won = look(house, dispute(10 * USD, "won"))

    assert won.wallet_events[1:] == (BadDebtRecovered(ACCOUNT, MicroUsd(10 * USD)),)
    assert house.wallet.written_off == 0


def test_what_was_written_off_for_another_payment_is_not_recovered_from_this_one() -> None:
    house = paid(spent=10 * USD)
    look(house, dispute(10 * USD, "lost"))
    house.move(*write_off(house.wallet, "gone"))
    house.paid(10 * USD, SECOND)
    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "open", "dp_2"),)))

    house.look(shown(10 * USD, SECOND, disputes=(dispute(10 * USD, "won", "dp_2"),)))

    assert (house.wallet.balance, house.wallet.written_off) == (10 * USD, 10 * USD)
