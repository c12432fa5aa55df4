"""What is recorded of alerts: where they go, what was raised, and what came of each mail."""

from typing import Literal
from uuid import UUID

from domain.events import Event, Personal
from domain.ids import AccountId, EventId, VpsId
from domain.money import MicroUsd
from domain.time import Instant

AlertKind = Literal["low-balance", "vps-unpaid", "vps-limit", "vps-frozen", "account-frozen", "dispute-opened"]
"""``vps-…``: a VPS was stopped, since its minute could not be paid, for its token's limit, or with the account."""
GivenUpCause = Literal["refused", "unreachable", "stale"]
"""The mail server will never take it; it was tried too often; nobody needs it any more."""


class AddressGiven(Event, frozen=True, tag="alerts.address-given.v1"):
    """Alerts are to go to this address once it is verified, and to no other."""

    account_id: AccountId
    email: Personal


class ThresholdsSet(Event, frozen=True, tag="alerts.thresholds-set.v1"):
    """The account wants to know when its balance falls to or below one of these."""

    account_id: AccountId
    thresholds: tuple[MicroUsd, ...]
    """The highest first."""


class VerificationRequested(Event, frozen=True, tag="alerts.verification-requested.v1"):
    """A code is to be mailed to the address; any code before it is good for nothing."""

    account_id: AccountId
    verification_id: UUID
    code_digest: str
    """SHA-256 of the code, in hexadecimal."""
    requested_at: Instant
    expires_at: Instant


class VerificationFailed(Event, frozen=True, tag="alerts.verification-failed.v1"):
    """A wrong code was tried; after a few the right one is good for nothing either."""

    account_id: AccountId
    verification_id: UUID


class AddressVerified(Event, frozen=True, tag="alerts.address-verified.v1"):
    """Whoever reads mail at the address has shown its code."""

    account_id: AccountId
    verification_id: UUID


class EmailVerificationRequested(Event, frozen=True, tag="alerts.email-verification-requested.v1"):
    """A code is to be mailed to the address that the account was made with, ending any of its kind before."""

    account_id: AccountId
    verification_id: UUID
    code_digest: str
    """SHA-256 of the code, in hexadecimal."""
    requested_at: Instant
    expires_at: Instant


class EmailVerificationFailed(Event, frozen=True, tag="alerts.email-verification-failed.v1"):
    """A wrong code was tried; after a few the right one is good for nothing either."""

    account_id: AccountId
    verification_id: UUID


class EmailVerificationDone(Event, frozen=True, tag="alerts.email-verification-done.v1"):
    """The code was shown, and is used up; that the address is verified, the account itself records."""

    account_id: AccountId
    verification_id: UUID


class PasswordResetRequested(Event, frozen=True, tag="alerts.password-reset-requested.v1"):
    """Somebody asked for another password: a code is to be mailed to the account's own address, ending any before."""

    account_id: AccountId
    reset_id: UUID
    code_digest: str
    """SHA-256 of the code, in hexadecimal."""
    requested_at: Instant
    expires_at: Instant


class PasswordResetFailed(Event, frozen=True, tag="alerts.password-reset-failed.v1"):
    """A wrong code was tried; after a few the right one is good for nothing either."""

    account_id: AccountId
    reset_id: UUID


class PasswordResetDone(Event, frozen=True, tag="alerts.password-reset-done.v1"):
    """The code was shown: the account has another password from here on, and the code is used up."""

    account_id: AccountId
    reset_id: UUID


CodeRequested = VerificationRequested | EmailVerificationRequested | PasswordResetRequested
"""A code is to be mailed."""


class AlertRaised(Event, frozen=True, tag="alerts.alert-raised.v1"):
    """The account is to be told of something; all alerts of one notice go in one mail."""

    account_id: AccountId
    notice_id: UUID
    kind: AlertKind
    cause: EventId
    cause_position: int
    """The position of the event that this follows from: everything up to it has been raised."""
    happened_at: Instant
    threshold: MicroUsd | None = None
    balance: MicroUsd | None = None
    vps_id: VpsId | None = None
    amount: MicroUsd | None = None
    """What is owed or disputed."""


class MailSent(Event, frozen=True, tag="alerts.mail-sent.v1"):
    """The mail server has taken a mail."""

    account_id: AccountId
    notice_id: UUID
    """Of its alerts, or the id of a verification."""
    at: Instant


class MailFailed(Event, frozen=True, tag="alerts.mail-failed.v1"):
    """The mail server did not take a mail; it is tried again at ``retry_at``."""

    account_id: AccountId
    notice_id: UUID
    attempt: int
    retry_at: Instant
    reason: Personal


class MailGivenUp(Event, frozen=True, tag="alerts.mail-given-up.v1"):
    """A mail will never be sent."""

    account_id: AccountId
    notice_id: UUID
    cause: GivenUpCause
    reason: Personal
    at: Instant


class AlertsSwitchedOff(Event, frozen=True, tag="alerts.alerts-switched-off.v1"):
    """The account wants to be told nothing until it gives an address again; what waits is not sent."""

    account_id: AccountId


class AlertsEnded(Event, frozen=True, tag="alerts.alerts-ended.v1"):
    """The account was closed: nobody is told of anything any more."""

    account_id: AccountId
