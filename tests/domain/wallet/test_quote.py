"""A quote is what the real decision comes to, and never says anything else."""

from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from domain.deciding import Decision, recorded_in
from domain.errors import NotFound
from domain.ids import PaymentId, PlanId, TokenId, VpsId, wallet_stream
from domain.money import MicroUsd
from domain.time import Instant
from domain.wallet.commands import AdmitVps, CreditFunds
from domain.wallet.events import FundsTaken
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached, admit, credit_funds
from domain.wallet.quote import Quote, quote
from domain.wallet.wallet import Wallet
from tests.domain.wallet.limited import CI, created_by, limited
from tests.domain.wallet.wallets import ACCOUNT, BOOK, LARGE, MAIL, SMALL, T0, WEB, after, given, minutes, running

NEW = VpsId(UUID(int=99))


def admitting(wallet: Wallet, now: Instant = T0, token_id: TokenId | None = None) -> Callable[[], Decision]:
    """Return the decision to switch on a large VPS, which a token asks for or a session."""
    command = AdmitVps(NEW, 1, LARGE, now, token_id, token_id)
    return lambda: recorded_in(wallet_stream(ACCOUNT), *admit(wallet, BOOK, command, now))


def quoted(wallet: Wallet, now: Instant = T0) -> Quote:
    return quote(wallet, BOOK, NEW, LARGE, now, None, admitting(wallet, now))


def owing(micros: int) -> FundsTaken:
    """Return that a dispute left so much owed."""
    return FundsTaken(ACCOUNT, PaymentId(UUID(int=5)), "dispute", "dp", MicroUsd(0), MicroUsd(micros), MicroUsd(0))


def credited(wallet: Wallet, micros: int) -> Wallet:
    """Return a wallet once so much was paid in; what it owes is paid from it first."""
    return after(wallet, *credit_funds(wallet, CreditFunds(UUID(int=7), MicroUsd(micros), "paid in")))


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


def test_a_frozen_account_is_told_what_it_owes_and_what_it_takes_to_be_admitted() -> None:
    wallet = given(owing(300))
    made = quoted(wallet)

    assert isinstance(made.refusal, AccountFrozen)
    assert (made.owed, made.shortfall) == (300, 60_300)
    assert quoted(credited(wallet, made.owed)).shortfall == 60_000


def test_a_token_at_its_limit_is_told_what_is_left_of_it_and_the_account_that_it_lacks_nothing() -> None:
    wallet = given(limited(64_199), *created_by(CI), funds=10_000_000)
    decide = admitting(wallet, token_id=CI)
    made = quote(wallet, BOOK, NEW, LARGE, T0, CI, decide)

    assert isinstance(made.refusal, TokenSpendLimitReached)
    assert (made.token_left, made.token_required) == (64_199, 64_200)
    assert (made.required, made.shortfall, made.owed) == (64_200, 0, 0)


def test_of_a_token_without_a_limit_nothing_is_told() -> None:
    made = quote(given(funds=60_000), BOOK, NEW, LARGE, T0, CI, Decision)

    assert (made.token_left, made.token_required) == (None, None)


@whatever(
    funds=st.integers(0, 200_000),
    owed=st.one_of(st.just(0), st.integers(1, 100_000)),
    limit=st.one_of(st.none(), st.integers(0, 200_000)),
    on=st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), st.booleans()), max_size=4),
)
def test_a_quote_says_what_the_real_request_would_and_its_shortfall_is_just_enough(
    funds: int, owed: int, limit: int | None, on: list[tuple[PlanId, bool]]
) -> None:
    started = [
        event
        for number, (plan, of_token) in enumerate(on, 11)
        for event in created_by(CI if of_token else None, VpsId(UUID(int=number)), plan=plan)
    ]
    wallet = given(*([] if limit is None else [limited(limit)]), *started, *([owing(owed)] if owed else []))
    wallet = credited(wallet, funds) if funds else wallet
    token_id = None if limit is None else CI

    def would(wallet: Wallet) -> tuple[Quote, str | None]:
        decide = admitting(wallet, token_id=token_id)
        try:
            decide()
            real = None
        except (AccountFrozen, InsufficientBalance, TokenSpendLimitReached) as no:
            real = no.code
        return quote(wallet, BOOK, NEW, LARGE, T0, token_id, decide), real

    made, real = would(wallet)
    assert (made.refusal.code if made.refusal else None) == real
    assert made.owed == wallet.receivable
    for paid_in in {made.shortfall - 1, made.shortfall} - {-1, 0}:
        _, real = would(credited(wallet, paid_in))
        assert (real in (None, "token_spend_limit_reached")) == (paid_in == made.shortfall)
    if made.token_left is not None and made.token_required is not None and made.shortfall == 0:
        assert (made.refusal is not None) == (made.token_left < made.token_required)


def test_what_is_on_already_is_not_counted_twice() -> None:
    wallet = given(*running(WEB, LARGE), *running(MAIL, SMALL), funds=64_200)
    made = quote(wallet, BOOK, WEB, LARGE, T0, None, Decision)

    assert (made.required, made.changes, made.lasts_until) == (64_200, False, minutes(60))


def test_what_is_wrong_with_a_request_is_no_quote() -> None:
    def decide() -> Decision:
        raise NotFound

    with pytest.raises(NotFound):
        quote(given(funds=1), BOOK, NEW, SMALL, T0, None, decide)
