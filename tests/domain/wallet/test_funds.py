"""Funds and admission: what comes in, and what may be on by it."""

from uuid import UUID

import pytest

from domain.errors import Invalid
from domain.ids import PlanId, VpsId
from domain.money import MicroUsd
from domain.wallet.commands import AdmitVps, CreditFunds
from domain.wallet.events import FundsCredited, MeterClosed, MeterStarted, VpsAdmitted, VpsReleased, WalletOpened
from domain.wallet.funds import (
    InsufficientBalance,
    admit,
    credit_funds,
    open_wallet,
    release,
    required_balance,
    start_meter,
)
from domain.wallet.wallet import FOLD, Wallet
from tests.domain.wallet.wallets import (
    ACCOUNT,
    BOOK,
    HOST,
    LARGE,
    MAIL,
    SMALL,
    T0,
    WEB,
    admitted,
    after,
    given,
    minutes,
    running,
)


def admission(vps_id: VpsId = WEB, plan: PlanId = SMALL, generation: int = 1) -> AdmitVps:
    return AdmitVps(vps_id=vps_id, generation=generation, plan_id=plan, created_at=T0)


def credit(wallet: Wallet, amount: int, reason: str = "welcome") -> Wallet:
    return after(wallet, *credit_funds(wallet, CreditFunds(UUID(int=5), MicroUsd(amount), reason)))


def test_an_account_has_one_wallet() -> None:
    assert open_wallet(FOLD.initial, ACCOUNT) == (WalletOpened(ACCOUNT),)
    assert open_wallet(given(), ACCOUNT) == ()


def test_funds_that_are_credited_can_be_spent() -> None:
    assert credit(given(funds=1), 41).balance == 42


@pytest.mark.parametrize("amount", [0, -1, 10**13])
def test_an_amount_that_cannot_be_meant_is_refused(amount: int) -> None:
    with pytest.raises(Invalid):
        credit(given(), amount)


def test_a_credit_has_a_reason() -> None:
    with pytest.raises(Invalid):
        credit(given(), 1, reason=" ")


def test_a_vps_is_admitted_if_an_hour_of_it_is_covered() -> None:
    assert admit(given(funds=4_200), BOOK, admission(), T0) == (VpsAdmitted(ACCOUNT, WEB, 1, SMALL, None, T0),)


def test_a_vps_is_refused_if_a_micro_dollar_is_missing() -> None:
    with pytest.raises(InsufficientBalance) as refused:
        admit(given(funds=4_199), BOOK, admission(), T0)

    facts = {"balance": 4_199, "required": 4_200, "shortfall": 1, "top_up": 5_000_000}
    assert refused.value.facts == facts


def test_an_hour_of_each_vps_that_is_on_is_held_back() -> None:
    wallet = given(admitted(MAIL, LARGE), funds=64_199)

    with pytest.raises(InsufficientBalance) as refused:
        admit(wallet, BOOK, admission(), T0)

    assert refused.value.required == 64_200
    assert required_balance(wallet, BOOK, SMALL, T0) == 64_200


def test_nothing_is_held_back_for_a_vps_that_was_released() -> None:
    wallet = given(admitted(MAIL, LARGE), VpsReleased(MAIL, 1, T0, "stop"), funds=4_200)

    assert len(admit(wallet, BOOK, admission(), T0)) == 1


def test_a_meter_starts_at_the_first_login_once() -> None:
    wallet = given(admitted())

    started = start_meter(wallet, WEB, 1, T0, host_id=HOST, start_id="boot/1")

    assert started == (MeterStarted(WEB, 1, T0, HOST, "boot/1"),)
    assert start_meter(after(wallet, *started), WEB, 1, minutes(1), host_id=HOST, start_id="boot/1") == ()


def test_a_login_after_the_stop_was_accepted_starts_nothing() -> None:
    wallet = given(admitted(), VpsReleased(WEB, 1, T0, "stop"))

    assert start_meter(wallet, WEB, 1, T0, host_id=HOST, start_id="boot/1") == ()


def test_a_login_of_an_earlier_start_starts_nothing() -> None:
    assert start_meter(given(admitted(generation=2)), WEB, 1, T0, host_id=HOST, start_id="boot/1") == ()


def test_only_the_first_release_counts() -> None:
    wallet = given(*running())

    released = release(wallet, WEB, minutes(1), "stop")

    assert released == (VpsReleased(WEB, 1, minutes(1), "stop"),)
    assert release(after(wallet, *released), WEB, minutes(2), "error") == ()


def test_a_meter_is_forgotten_once_its_vps_is_deleted_and_off() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(1), "stop"), MeterClosed(WEB, 1, minutes(2)))

    wallet = after(wallet, *release(wallet, WEB, minutes(3), "delete"))

    assert wallet.meters == {}
    assert release(wallet, WEB, minutes(4), "delete") == ()


def test_a_meter_is_kept_until_a_deleted_vps_is_off() -> None:
    wallet = given(*running())

    wallet = after(wallet, *release(wallet, WEB, minutes(1), "delete"))

    assert WEB in wallet.meters
    assert after(wallet, MeterClosed(WEB, 1, minutes(2))).meters == {}


def test_credits_are_facts_with_their_owner() -> None:
    command = CreditFunds(UUID(int=5), MicroUsd(7), "welcome")

    assert credit_funds(given(), command) == (FundsCredited(ACCOUNT, UUID(int=5), MicroUsd(7), "welcome"),)
