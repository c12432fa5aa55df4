"""Admission of what tokens create: by what is left of their limits, and only while they are good."""

import pytest

from domain.accounts.account import Unauthorized
from domain.ids import TokenId, VpsId
from domain.time import MINUTE, Instant
from domain.wallet.commands import AdmitVps
from domain.wallet.events import MeterClosed, TokenLimitEnded, TokenUnlimited, VpsReleased
from domain.wallet.funds import InsufficientBalance, TokenSpendLimitReached, VpsOfAnother, admit
from domain.wallet.wallet import Wallet
from tests.domain.wallet.limited import CI, MIDNIGHT, OPS, created_by, in_minutes, limited, until
from tests.domain.wallet.wallets import (
    ACCOUNT,
    BOOK,
    JOBS,
    LARGE,
    MAIL,
    SMALL,
    T0,
    WEB,
    after,
    events_of,
    given,
    minutes,
    proof,
    settled,
)


def ask(token_id: TokenId | None, vps_id: VpsId = WEB, *, asked_by: TokenId | None = None) -> AdmitVps:
    return AdmitVps(vps_id=vps_id, generation=1, plan_id=SMALL, created_at=T0, token_id=token_id, asked_by=asked_by)


def closed(wallet: Wallet, *vps_ids: VpsId, at: float = 1) -> Wallet:
    """Return a wallet whose VPSs were stopped and shown off."""
    for vps_id in vps_ids:
        wallet = after(wallet, VpsReleased(vps_id, 1, minutes(at), "stop"), MeterClosed(vps_id, 1, minutes(at)))
    return wallet


def test_what_a_token_creates_is_admitted_if_an_hour_of_it_is_left_of_the_limit() -> None:
    wallet = given(limited(4_200), funds=1_000_000)

    assert len(admit(wallet, BOOK, ask(CI, asked_by=CI), T0)) == 1


def test_a_token_is_refused_if_a_micro_dollar_of_its_limit_is_missing() -> None:
    with pytest.raises(TokenSpendLimitReached) as refused:
        admit(given(limited(4_199), funds=1_000_000), BOOK, ask(CI, asked_by=CI), T0)

    assert refused.value.facts == {"left": 4_199, "required": 4_200}


def test_an_hour_of_each_vps_of_the_token_that_is_on_is_held_back_of_its_limit() -> None:
    wallet = given(limited(64_199), *created_by(CI, MAIL, plan=LARGE), *created_by(OPS, JOBS), funds=1_000_000)

    with pytest.raises(TokenSpendLimitReached) as refused:
        admit(wallet, BOOK, ask(CI, asked_by=CI), T0)

    assert refused.value.required == 64_200, "that of another token is no part of it"


def test_what_was_spent_is_no_longer_left() -> None:
    wallet = given(limited(4_200 + 70), *created_by(CI, MAIL), funds=1_000_000)
    wallet = closed(after(wallet, *events_of(settled(wallet, {MAIL: proof(1)}, 1))), MAIL, at=2)

    with pytest.raises(TokenSpendLimitReached) as refused:
        admit(wallet, BOOK, ask(CI, asked_by=CI), T0)

    assert refused.value.left == 4_200 + 70 - 2 * 70


def test_the_balance_has_to_cover_it_as_well() -> None:
    with pytest.raises(InsufficientBalance):
        admit(given(limited(1_000_000), funds=4_199), BOOK, ask(CI, asked_by=CI), T0)


def test_a_token_without_a_limit_is_admitted_by_the_balance_alone() -> None:
    wallet = given(TokenUnlimited(ACCOUNT, CI, None), funds=4_200)

    assert len(admit(wallet, BOOK, ask(CI, asked_by=CI), T0)) == 1


def test_a_limited_token_may_not_switch_on_what_it_did_not_create() -> None:
    wallet = given(limited(1_000_000), limited(1_000_000, token_id=OPS), funds=1_000_000)

    for creator in (None, OPS):
        with pytest.raises(VpsOfAnother):
            admit(wallet, BOOK, ask(creator, asked_by=CI), T0)


def test_an_unlimited_token_may_switch_on_whatever_the_account_has() -> None:
    wallet = given(TokenUnlimited(ACCOUNT, OPS, None), limited(4_200), funds=1_000_000)

    assert len(admit(wallet, BOOK, ask(None, asked_by=OPS), T0)) == 1
    assert len(admit(wallet, BOOK, ask(CI, asked_by=OPS), T0)) == 1


def test_whoever_switches_it_on_the_limit_of_the_token_that_created_it_applies() -> None:
    wallet = given(limited(4_199), TokenUnlimited(ACCOUNT, OPS, None), funds=1_000_000)

    for asking in (None, OPS):
        with pytest.raises(TokenSpendLimitReached):
            admit(wallet, BOOK, ask(CI, asked_by=asking), T0)


def test_a_token_that_was_revoked_meanwhile_switches_nothing_on() -> None:
    wallet = given(limited(1_000_000), TokenLimitEnded(ACCOUNT, CI), funds=1_000_000)

    with pytest.raises(Unauthorized):
        admit(wallet, BOOK, ask(CI, asked_by=CI), T0)


def test_a_token_that_expired_meanwhile_switches_nothing_on() -> None:
    wallet = given(limited(1_000_000, expires_at=minutes(1)), funds=1_000_000)

    assert len(admit(wallet, BOOK, ask(CI, asked_by=CI), Instant(minutes(1) - 1))) == 1
    with pytest.raises(Unauthorized):
        admit(wallet, BOOK, ask(CI, asked_by=CI), minutes(1))


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_once_a_token_has_ended_its_vpss_are_started_without_its_limit(end: str) -> None:
    ended = [TokenLimitEnded(ACCOUNT, CI)] if end == "revoked" else []
    wallet = given(limited(1, expires_at=minutes(1)), *ended, funds=4_200)

    assert len(admit(wallet, BOOK, ask(CI), minutes(1))) == 1


def test_after_a_new_month_began_a_start_is_admitted_again() -> None:
    wallet = given(limited(4_200, "month"), *created_by(CI, since=Instant(MIDNIGHT - 3 * MINUTE)), funds=1_000_000)
    wallet = after(wallet, *events_of(settled(wallet, {WEB: until(MIDNIGHT - 1)}, in_minutes(MIDNIGHT - 1))))
    wallet = after(wallet, VpsReleased(WEB, 1, MIDNIGHT, "stop"), MeterClosed(WEB, 1, MIDNIGHT))
    again = AdmitVps(vps_id=WEB, generation=2, plan_id=SMALL, created_at=T0, token_id=CI, asked_by=CI)

    with pytest.raises(TokenSpendLimitReached):
        admit(wallet, BOOK, again, Instant(MIDNIGHT - 1))
    assert len(admit(wallet, BOOK, again, MIDNIGHT)) == 1
