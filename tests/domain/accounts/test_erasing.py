"""An account is erased once everything of it is over, and not before."""

from uuid import UUID

import msgspec
import pytest

from domain.accounts.account import Account
from domain.accounts.commands import EraseAccount
from domain.accounts.erasing import NotErasable, erase, finish_erasure
from domain.accounts.events import AccountErased, ErasureFinished
from domain.errors import NotFound
from domain.ids import AccountId, PaymentId, PlanId, VpsId, account_stream
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.meter import Meter
from domain.wallet.wallet import Wallet

ANN = AccountId(UUID(int=1))
NOW = Instant(5)
OVER = Account(id=ANN, email="ann@example.com", closed=True, closing_finished=True)
EMPTY = Wallet(account_id=ANN, closed=True)
METER = Meter(VpsId(UUID(int=2)), 1, PlanId(UUID(int=4)), None, Instant(0))
ASKED = EraseAccount("requested")


def test_a_closed_account_is_erased() -> None:
    decision = erase(OVER, EMPTY, (), ASKED, NOW)
    assert decision.events == ((account_stream(ANN), AccountErased(ANN, "requested", at=NOW)),)


def test_what_is_erased_is_not_erased_again() -> None:
    erased = msgspec.structs.replace(OVER, erased=True)
    assert erase(erased, EMPTY, (), ASKED, NOW).events == ()


def test_nobody_cannot_be_erased() -> None:
    with pytest.raises(NotFound):
        erase(Account(), EMPTY, (), ASKED, NOW)


@pytest.mark.parametrize(
    ("account", "wallet", "awaiting", "because"),
    [
        (msgspec.structs.replace(OVER, closed=False, closing_finished=False), EMPTY, (), "it is open"),
        (msgspec.structs.replace(OVER, closing_finished=False), EMPTY, (), "its closing is not finished"),
        (OVER, msgspec.structs.replace(EMPTY, meters={VpsId(UUID(int=2)): METER}), (), "its closing is not"),
        (OVER, EMPTY, (PaymentId(UUID(int=3)),), "refunds or disputes of its payments are not settled"),
        (OVER, msgspec.structs.replace(EMPTY, receivable=MicroUsd(7)), (), "it owes something"),
        (OVER, msgspec.structs.replace(EMPTY, balance=MicroUsd(10_000)), (), "money that was paid in did not go back"),
    ],
)
def test_what_is_not_over_is_told(
    account: Account, wallet: Wallet, awaiting: tuple[PaymentId, ...], because: str
) -> None:
    with pytest.raises(NotErasable) as refused:
        erase(account, wallet, awaiting, ASKED, NOW)
    assert str(refused.value.facts["because"]).startswith(because)


def test_what_an_account_owes_and_what_waits_are_told_too() -> None:
    with pytest.raises(NotErasable) as owing:
        erase(OVER, msgspec.structs.replace(EMPTY, receivable=MicroUsd(7)), (), ASKED, NOW)
    with pytest.raises(NotErasable) as waiting:
        erase(OVER, EMPTY, (PaymentId(UUID(int=3)),), ASKED, NOW)
    assert (owing.value.facts["owed"], waiting.value.facts["payments"]) == (7, str(UUID(int=3)))


def test_money_that_cannot_go_back_is_left_where_an_operator_says_so() -> None:
    left = msgspec.structs.replace(EMPTY, balance=MicroUsd(10_000))
    assert erase(OVER, left, (), EraseAccount("requested", leave_balance=True), NOW).events


def test_goodwill_and_less_than_a_cent_hold_nobody_back() -> None:
    left = msgspec.structs.replace(EMPTY, balance=MicroUsd(1_009_999), goodwill=MicroUsd(1_000_000))
    assert erase(OVER, left, (), ASKED, NOW).events


def test_an_erasure_is_finished_once() -> None:
    erased = msgspec.structs.replace(OVER, erased=True)
    assert finish_erasure(erased, ANN, NOW).events == ((account_stream(ANN), ErasureFinished(ANN, at=NOW)),)
    assert finish_erasure(msgspec.structs.replace(erased, erasure_finished=True), ANN, NOW).events == ()
    assert finish_erasure(OVER, ANN, NOW).events == ()
