"""Closing an account."""

from uuid import UUID

import msgspec
import pytest

from domain.accounts.account import EMAIL_CLAIM, Account, Unauthorized, evolve, session_is_good
from domain.accounts.closing import close, finish, may_finish
from domain.accounts.commands import CloseAccount
from domain.accounts.events import AccountClosed, ClosingFinished
from domain.alerts.alerts import Alerts
from domain.alerts.events import AlertsEnded
from domain.ids import AccountId, PlanId, VpsId, account_stream, alerts_stream, wallet_stream
from domain.money import MicroUsd
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.commands import AdmitVps
from domain.wallet.events import WalletClosed
from domain.wallet.funds import admit
from domain.wallet.meter import Meter
from domain.wallet.wallet import Wallet
from domain.wallet.wallet import evolve as evolve_wallet

ANN = AccountId(UUID(int=1))
NOW = Instant(1_000_000)
ACCOUNT = Account(id=ANN, email="ann@example.com", password_hash="x", password_number=1)
COMMAND = CloseAccount(b"key")


def test_a_closed_account_lets_nobody_in_and_its_address_is_free() -> None:
    decision = close(ACCOUNT, Wallet(account_id=ANN), Alerts(email="ops@example.com"), COMMAND, NOW)

    assert decision.events == (
        (account_stream(ANN), AccountClosed(ANN, NOW)),
        (wallet_stream(ANN), WalletClosed(ANN)),
        (alerts_stream(ANN), AlertsEnded(ANN)),
    )
    assert decision.releases == ((EMAIL_CLAIM, b"key"),)
    closed = evolve(ACCOUNT, AccountClosed(ANN, NOW))
    assert session_is_good(ACCOUNT, "a", 1)
    assert not session_is_good(closed, "a", 1)
    assert not closed.is_open


def test_an_account_is_closed_once() -> None:
    for account in (evolve(ACCOUNT, AccountClosed(ANN, NOW)), Account()):
        with pytest.raises(Unauthorized):
            close(account, Wallet(account_id=ANN), Alerts(), COMMAND, NOW)


def test_a_closed_wallet_admits_nothing() -> None:
    wallet = evolve_wallet(Wallet(account_id=ANN, balance=MicroUsd(10**9)), WalletClosed(ANN))
    command = AdmitVps(VpsId(UUID(int=2)), 1, PlanId(UUID(int=3)), NOW)

    with pytest.raises(Unauthorized):
        admit(wallet, PRICES.fold.initial, command, NOW)


def test_it_is_finished_once_nothing_of_it_is_there() -> None:
    vps_id = VpsId(UUID(int=2))
    meter = Meter(vps_id, 1, PlanId(UUID(int=3)), None, NOW)

    assert not may_finish(Wallet(account_id=ANN, meters={vps_id: msgspec.structs.replace(meter, closed=True)}))
    assert may_finish(Wallet(account_id=ANN))
    assert finish(ANN, MicroUsd(3), NOW).events == ((account_stream(ANN), ClosingFinished(ANN, MicroUsd(3), NOW)),)
