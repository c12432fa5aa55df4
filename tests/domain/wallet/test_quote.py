"""A quote is what the real decision comes to, and never says anything else."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.deciding import Decision, recorded_in
from domain.errors import NotFound
from domain.ids import PaymentId, VpsId, wallet_stream
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.commands import AdmitVps
from domain.wallet.events import FundsTaken
from domain.wallet.funds import AccountFrozen, InsufficientBalance, admit
from domain.wallet.quote import Quote, quote
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import ACCOUNT, BOOK, LARGE, MAIL, SMALL, T0, WEB, after, given, minutes, running

NEW = VpsId(UUID(int=99))


def admitting(wallet: Wallet, now: Instant = T0) -> Callable[[], Decision]:
    """Return the decision to switch on a large VPS."""
    command = AdmitVps(NEW, 1, LARGE, now)
    return lambda: recorded_in(wallet_stream(ACCOUNT), *admit(wallet, BOOK, command, now))


def quoted(wallet: Wallet, now: Instant = T0) -> Quote:
    return quote(wallet, BOOK, NEW, LARGE, now, admitting(wallet, now))


def test_what_would_be_accepted_is_told_with_how_long_it_lasts() -> None:
    made = quoted(given(*running(WEB, SMALL), funds=60_000 + 4_200))

    assert (made.price_hourly, made.required, made.refusal, made.changes) == (60_000, 64_200, None, True)
    assert (made.shortfall, made.lasts_until) == (0, minutes(60))


def test_what_would_be_refused_tells_how_much_is_missing() -> None:
    wallet = given(*running(WEB, SMALL), funds=64_199)
    made = quoted(wallet)

    assert isinstance(made.refusal, InsufficientBalance)
    assert (made.required, made.shortfall, made.changes) == (64_200, 1, False)
    with pytest.raises(InsufficientBalance):
        admitting(wallet)()


def test_a_frozen_account_is_told_what_it_owes() -> None:
    taken = FundsTaken(ACCOUNT, PaymentId(UUID(int=5)), "dispute", "dp", MicroUsd(10), MicroUsd(300), MicroUsd(0))
    made = quoted(after(given(funds=10), taken))

    assert isinstance(made.refusal, AccountFrozen)
    assert made.shortfall == 300


def test_what_is_on_already_is_not_counted_twice() -> None:
    wallet = given(*running(WEB, LARGE), *running(MAIL, SMALL), funds=64_200)
    made = quote(wallet, BOOK, WEB, LARGE, T0, Decision)

    assert (made.required, made.changes, made.lasts_until) == (64_200, False, minutes(60))


def test_what_is_wrong_with_a_request_is_no_quote() -> None:
    def decide() -> Decision:
        raise NotFound

    with pytest.raises(NotFound):
        quote(given(funds=1), BOOK, NEW, SMALL, T0, decide)
