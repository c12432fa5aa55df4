"""Another password by a mailed code: when a code is good, and what it does."""

from functools import reduce
from uuid import UUID

import pytest

from domain.accounts import account as accounts
from domain.accounts import resetting
from domain.accounts.account import Account
from domain.accounts.events import AccountClosed, AccountRegistered, EmailVerified, PasswordChanged
from domain.accounts.resetting import RESET_LIFE, RequestReset, ResetPassword
from domain.alerts import alerts as mailing
from domain.alerts.alerts import Alerts
from domain.alerts.codes import TRIES_MAX, CodeRefused
from domain.alerts.events import (
    AddressGiven,
    AlertsEnded,
    AlertsSwitchedOff,
    MailGivenUp,
    MailSent,
    PasswordResetDone,
    PasswordResetFailed,
    PasswordResetRequested,
)
from domain.events import Event
from domain.ids import AccountId, account_stream, alerts_stream
from domain.time import Instant

ANN = AccountId(UUID(int=1))
FIRST, SECOND = UUID(int=11), UUID(int=12)
NOW = Instant(1_000_000_000)
LAST = Instant(NOW + RESET_LIFE - 1)
REGISTERED = AccountRegistered(ANN, "ann@example.com", "hash")
OPEN = accounts.evolve(Account(), REGISTERED)
CLOSED = accounts.evolve(OPEN, AccountClosed(ANN, NOW))


def after(*events: Event) -> Alerts:
    return reduce(mailing.evolve, events, Alerts())


def requested(reset_id: UUID = FIRST) -> PasswordResetRequested:
    return PasswordResetRequested(ANN, reset_id, f"digest {reset_id}", NOW, Instant(NOW + RESET_LIFE))


def showing(reset_id: UUID = FIRST, digest: str | None = None) -> ResetPassword:
    return ResetPassword(reset_id, digest or f"digest {reset_id}", "other")


def test_a_code_is_mailed_and_claimed_while_it_is_good() -> None:
    decision = resetting.request_reset(OPEN, RequestReset(FIRST, f"digest {FIRST}"), NOW)

    assert decision.events == ((alerts_stream(ANN), requested()),)
    (claim,) = decision.claims
    assert (claim.key, claim.holder, claim.expires_at) == (FIRST.bytes, ANN, NOW + RESET_LIFE)
    assert [notice.kind for notice in after(requested()).notices.values()] == ["password-reset"]


@pytest.mark.parametrize("account", [Account(), CLOSED])
def test_nobody_is_mailed_a_code_for_an_account_that_is_not_there(account: Account) -> None:
    assert resetting.request_reset(account, RequestReset(FIRST, "digest"), NOW).events == ()


def test_the_code_gives_another_password_and_is_used_up_in_the_same_append() -> None:
    decision = resetting.reset_password(OPEN, after(requested()), showing(), LAST)

    assert decision.events == (
        (alerts_stream(ANN), PasswordResetDone(ANN, FIRST)),
        (account_stream(ANN), PasswordChanged(ANN, "other")),
        (account_stream(ANN), EmailVerified(ANN)),
    )
    with pytest.raises(CodeRefused):
        resetting.reset_password(OPEN, after(requested(), PasswordResetDone(ANN, FIRST)), showing(), NOW)


@pytest.mark.parametrize(
    ("account", "alerts", "command", "now"),
    [
        (OPEN, after(), showing(), NOW),
        (OPEN, after(requested()), showing(), Instant(LAST + 1)),
        (OPEN, after(requested()), showing(FIRST, "guessed"), NOW),
        (OPEN, after(requested(), requested(SECOND)), showing(FIRST), NOW),
        (OPEN, after(requested(), *[PasswordResetFailed(ANN, FIRST)] * TRIES_MAX), showing(), NOW),
        (CLOSED, after(requested()), showing(), NOW),
        (CLOSED, after(requested(), AlertsEnded(ANN)), showing(), NOW),
    ],
    ids=["none", "expired", "wrong", "older", "guessed at", "closed", "ended"],
)
def test_no_other_code_does(account: Account, alerts: Alerts, command: ResetPassword, now: Instant) -> None:
    with pytest.raises(CodeRefused):
        resetting.reset_password(account, alerts, command, now)


def test_wrong_codes_are_counted_and_the_right_one_is_not() -> None:
    alerts = after(requested())

    assert resetting.fail_reset(OPEN, alerts, FIRST, "guessed", NOW).events == (
        (alerts_stream(ANN), PasswordResetFailed(ANN, FIRST)),
    )
    assert resetting.fail_reset(OPEN, alerts, FIRST, f"digest {FIRST}", NOW).events == ()


def test_an_older_code_is_no_guess_at_the_newer_one() -> None:
    alerts = after(requested(FIRST), requested(SECOND))

    with pytest.raises(CodeRefused):
        resetting.fail_reset(OPEN, alerts, FIRST, f"digest {FIRST}", NOW)


def test_an_address_that_is_verified_already_is_not_verified_again() -> None:
    verified = accounts.evolve(OPEN, EmailVerified(ANN))
    decision = resetting.reset_password(verified, after(requested()), showing(), NOW)

    assert EmailVerified(ANN) not in [event for _, event in decision.events]


def test_where_alerts_go_changes_nothing_for_a_code_that_goes_to_the_account() -> None:
    for event in (AddressGiven(ANN, "ops@example.com"), AlertsSwitchedOff(ANN)):
        alerts = after(requested(), event)
        assert list(alerts.notices) == [FIRST]
        assert resetting.is_right(OPEN, alerts, FIRST, f"digest {FIRST}", NOW)


def test_whether_that_mail_came_through_says_nothing_of_alerts() -> None:
    given_up = MailGivenUp(ANN, FIRST, "refused", "550", NOW)
    assert after(AddressGiven(ANN, "ops@example.com"), requested(), given_up).undelivered is None

    of_alerts = MailGivenUp(ANN, SECOND, "refused", "550", NOW)
    alerts = after(AddressGiven(ANN, "ops@example.com"), of_alerts, requested(), MailSent(ANN, FIRST, NOW))
    assert alerts.undelivered is not None


def test_a_closed_account_that_never_had_alerts_is_mailed_no_code_any_more() -> None:
    (ended,) = mailing.end_alerts(after(requested()), ANN)

    assert after(requested(), ended).notices == {}
