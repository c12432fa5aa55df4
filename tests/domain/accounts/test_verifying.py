"""Verifying the address that an account was made with: when a code is good, and what it does."""

from functools import reduce
from uuid import UUID

import pytest

from domain.accounts import account as accounts
from domain.accounts import verifying
from domain.accounts.account import EMAIL_CLAIM, Account
from domain.accounts.commands import RegisterAccount
from domain.accounts.events import AccountClosed, AccountRegistered, EmailVerified
from domain.accounts.verifying import RequestVerification
from domain.alerts import alerts as mailing
from domain.alerts.alerts import CODE_LIFE, Alerts
from domain.alerts.codes import CODE_SCOPE, TRIES_MAX, CodeRefused
from domain.alerts.commands import VerifyAddress
from domain.alerts.events import (
    AddressGiven,
    AddressVerified,
    AlertsEnded,
    AlertsSwitchedOff,
    EmailVerificationDone,
    EmailVerificationFailed,
    EmailVerificationRequested,
    PasswordResetRequested,
    VerificationRequested,
)
from domain.events import Event
from domain.ids import AccountId, account_stream, alerts_stream
from domain.time import Instant

ANN = AccountId(UUID(int=1))
FIRST, SECOND = UUID(int=11), UUID(int=12)
NOW = Instant(1_000_000_000)
LAST = Instant(NOW + CODE_LIFE - 1)
OPEN = accounts.evolve(Account(), AccountRegistered(ANN, "ann@example.com", "hash"))
VERIFIED = accounts.evolve(OPEN, EmailVerified(ANN))
CLOSED = accounts.evolve(OPEN, AccountClosed(ANN, NOW))
DONE = ((alerts_stream(ANN), EmailVerificationDone(ANN, FIRST)), (account_stream(ANN), EmailVerified(ANN)))


def after(*events: Event) -> Alerts:
    return reduce(mailing.evolve, events, Alerts())


def requested(verification_id: UUID = FIRST) -> EmailVerificationRequested:
    return EmailVerificationRequested(ANN, verification_id, f"digest {verification_id}", NOW, Instant(NOW + CODE_LIFE))


def showing(verification_id: UUID = FIRST, digest: str | None = None) -> VerifyAddress:
    return VerifyAddress(verification_id, digest or f"digest {verification_id}")


def shown(account: Account, alerts: Alerts, command: VerifyAddress, now: Instant = NOW) -> tuple[object, ...]:
    return verifying.verify_email(account, alerts, ANN, command, now).events


def test_whoever_registers_is_mailed_a_code_in_the_same_append_and_is_not_verified_by_that() -> None:
    registration = RegisterAccount(ANN, "ann@example.com", b"key", "hash")
    decision = verifying.register(registration, RequestVerification(FIRST, f"digest {FIRST}"), NOW)

    assert decision.events[-1] == (alerts_stream(ANN), requested())
    assert decision.events[:-1] == accounts.register(registration).events
    assert [(claim.scope, claim.expires_at) for claim in decision.claims] == [
        (EMAIL_CLAIM, None),
        (CODE_SCOPE, NOW + CODE_LIFE),
    ]
    assert not OPEN.email_verified
    assert verifying.register(registration, None, NOW) == accounts.register(registration)


def test_another_code_is_mailed_and_claimed_while_it_is_good() -> None:
    decision = verifying.request_verification(OPEN, RequestVerification(FIRST, f"digest {FIRST}"), NOW)

    assert decision.events == ((alerts_stream(ANN), requested()),)
    (claim,) = decision.claims
    assert (claim.key, claim.holder, claim.expires_at) == (FIRST.bytes, ANN, NOW + CODE_LIFE)
    assert [notice.kind for notice in after(requested(SECOND), requested()).notices.values()] == ["verify-email"]


@pytest.mark.parametrize("account", [Account(), CLOSED, VERIFIED], ids=["none", "closed", "verified"])
def test_nobody_else_is_mailed_a_code(account: Account) -> None:
    assert verifying.request_verification(account, RequestVerification(FIRST, "digest"), NOW).events == ()


def test_the_code_verifies_the_address_and_is_used_up_in_the_same_append() -> None:
    assert shown(OPEN, after(requested()), showing(), LAST) == DONE
    assert VERIFIED.email_verified
    with pytest.raises(CodeRefused):
        shown(VERIFIED, after(requested(), EmailVerificationDone(ANN, FIRST)), showing())


def test_what_a_reset_verified_meanwhile_is_not_verified_again() -> None:
    assert shown(VERIFIED, after(requested()), showing()) == DONE[:1]


@pytest.mark.parametrize(
    ("account", "alerts", "command", "now"),
    [
        (OPEN, after(), showing(), NOW),
        (OPEN, after(requested()), showing(), Instant(LAST + 1)),
        (OPEN, after(requested(), requested(SECOND)), showing(FIRST), NOW),
        (OPEN, after(requested(), *[EmailVerificationFailed(ANN, FIRST)] * TRIES_MAX), showing(), NOW),
        (CLOSED, after(requested()), showing(), NOW),
        (CLOSED, after(requested(), AlertsEnded(ANN)), showing(), NOW),
        (OPEN, after(PasswordResetRequested(ANN, FIRST, f"digest {FIRST}", NOW, LAST)), showing(), NOW),
    ],
    ids=["none", "expired", "older", "guessed at", "closed", "ended", "of a reset"],
)
def test_no_other_code_does(account: Account, alerts: Alerts, command: VerifyAddress, now: Instant) -> None:
    with pytest.raises(CodeRefused):
        shown(account, alerts, command, now)


def test_a_wrong_code_is_counted_and_verifies_nothing() -> None:
    assert shown(OPEN, after(requested()), showing(FIRST, "guessed")) == (
        (alerts_stream(ANN), EmailVerificationFailed(ANN, FIRST)),
    )


def test_a_code_verifies_the_address_that_it_was_mailed_to_and_no_other() -> None:
    of_alerts = VerificationRequested(ANN, SECOND, f"digest {SECOND}", NOW, LAST)
    alerts = after(AddressGiven(ANN, "ops@example.com"), of_alerts, requested())

    assert shown(OPEN, alerts, showing(SECOND)) == ((alerts_stream(ANN), AddressVerified(ANN, SECOND)),)
    assert shown(OPEN, alerts, showing(FIRST)) == DONE
    assert not after(AddressGiven(ANN, "ops@example.com"), requested(), EmailVerificationDone(ANN, FIRST)).verified


@pytest.mark.parametrize("event", [AddressGiven(ANN, "ops@example.com"), AlertsSwitchedOff(ANN)])
def test_where_alerts_go_changes_nothing_for_a_code_that_goes_to_the_account(event: Event) -> None:
    alerts = after(requested(), event)

    assert list(alerts.notices) == [FIRST]
    assert shown(OPEN, alerts, showing()) == DONE
