"""The alerts of an account: where they go, how an address is verified, what is raised."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from domain.accounts.emails import checked_email, email_form
from domain.alerts import events as recorded
from domain.alerts.codes import CODE_SCOPE, OWN_CODES, CodeKind, MailedCode, is_right
from domain.alerts.commands import SetAlerts, VerifyAddress
from domain.alerts.following import Due
from domain.deciding import NOTHING, AggregateRef, Decision, Fold, recorded_in
from domain.errors import Invalid
from domain.events import Event
from domain.ids import AccountId, alerts_stream
from domain.money import MicroUsd
from domain.ports import Claim
from domain.time import HOUR, Instant

THRESHOLDS_DEFAULT = (MicroUsd(1_000_000),)
THRESHOLDS_MAX = 10
THRESHOLD_MAX = MicroUsd(1_000_000_000_000)
CODE_LIFE = 24 * HOUR
NOTICE_ALERTS_MAX = 50
"""Alerts in one mail; what is left goes in the next."""


KINDS: dict[type[Event], CodeKind] = {
    recorded.VerificationRequested: "verification",
    recorded.VerificationFailed: "verification",
    recorded.EmailVerificationRequested: "verify-email",
    recorded.EmailVerificationFailed: "verify-email",
    recorded.EmailVerificationDone: "verify-email",
    recorded.PasswordResetRequested: "password-reset",
    recorded.PasswordResetFailed: "password-reset",
    recorded.PasswordResetDone: "password-reset",
}
"""Of which kind of code an event tells."""


class Notice(msgspec.Struct, frozen=True):
    """A mail that is to be sent."""

    id: UUID
    kind: Literal["alert"] | CodeKind
    due_at: Instant
    """When it is tried next."""
    begun_at: Instant
    """When it was first to be sent."""
    alerts: tuple[recorded.AlertRaised, ...] = ()
    attempts: int = 0


class GivenUp(msgspec.Struct, frozen=True):
    """Mail to an address that will never be sent: since when that has been so, and why of the last one."""

    email: str
    since: Instant
    cause: recorded.GivenUpCause
    reason: str
    """As the mail server or the network told it."""


class Alerts(msgspec.Struct, frozen=True):
    """What is known of an account's alerts. ``email`` is None until one is given, and once they are switched off."""

    email: str | None = None
    verified: bool = False
    thresholds: tuple[MicroUsd, ...] = ()
    codes: dict[CodeKind, MailedCode] = {}
    """Those that were mailed and not shown yet. Replaced, never changed."""
    notices: dict[UUID, Notice] = {}
    """By id, in the order in which they came to be; those sent or given up are gone."""
    undelivered: GivenUp | None = None
    """None once a later mail to the same address was sent."""
    raised_until: int = 0
    """The position up to which everything that was to be raised has been."""
    ended: bool = False


def evolve(alerts: Alerts, event: Event) -> Alerts:
    """Return the alerts after an event."""
    replace = msgspec.structs.replace
    match event:
        case recorded.AddressGiven():
            # What was to be told to another address is not told to this one.
            fresh = Alerts(email=event.email, thresholds=alerts.thresholds, raised_until=alerts.raised_until)
            return replace(fresh, codes=_own_codes(alerts), notices=_own_notices(alerts))
        case recorded.ThresholdsSet():
            return replace(alerts, thresholds=event.thresholds)
        case recorded.VerificationRequested() | recorded.EmailVerificationRequested():
            return _with_new_code(alerts, event, event.verification_id)
        case recorded.PasswordResetRequested():
            return _with_new_code(alerts, event, event.reset_id)
        case recorded.VerificationFailed() | recorded.EmailVerificationFailed() | recorded.PasswordResetFailed():
            return _with_failure(alerts, KINDS[type(event)])
        case recorded.AddressVerified():
            return replace(alerts, verified=True, codes=_without_code(alerts, "verification"))
        case recorded.EmailVerificationDone() | recorded.PasswordResetDone():
            return replace(alerts, codes=_without_code(alerts, KINDS[type(event)]))
        case recorded.AlertRaised():
            return _with_alert(alerts, event)
        case recorded.MailFailed():
            notice = alerts.notices[event.notice_id]
            return _with_notice(alerts, replace(notice, due_at=event.retry_at, attempts=event.attempt))
        case recorded.MailSent():
            mended = event.notice_id not in _own_notices(alerts)
            undelivered = None if mended else alerts.undelivered
            return replace(alerts, notices=_without(alerts, event.notice_id), undelivered=undelivered)
        case recorded.MailGivenUp():
            return replace(alerts, notices=_without(alerts, event.notice_id), undelivered=_given_up(alerts, event))
        case recorded.AlertsSwitchedOff():
            kept = Alerts(raised_until=alerts.raised_until)
            return replace(kept, codes=_own_codes(alerts), notices=_own_notices(alerts))
        case recorded.AlertsEnded():
            return Alerts(raised_until=alerts.raised_until, ended=True)
        case _:
            return alerts


FOLD = Fold(initial=Alerts(), evolve=evolve)


def alerts_ref(account_id: AccountId) -> AggregateRef[Alerts]:
    """Return the reference of an account's alerts."""
    return AggregateRef(alerts_stream(account_id), FOLD)


def checked_thresholds(thresholds: Sequence[MicroUsd]) -> tuple[MicroUsd, ...]:
    """Return thresholds, each once, the highest first. Raises Invalid."""
    if len(thresholds) > THRESHOLDS_MAX:
        raise Invalid(fields={"thresholds": f"must be at most {THRESHOLDS_MAX}"})
    if any(not 0 <= threshold <= THRESHOLD_MAX for threshold in thresholds):
        raise Invalid(fields={"thresholds": "must be from 0 to 1000000 USD"})
    return tuple(sorted(set(thresholds), reverse=True))


def needs_verification(alerts: Alerts, email: str) -> bool:
    """Tell whether alerts can go to an address only after a code was mailed there. Raises Invalid."""
    return not (alerts.verified and _is_same(alerts.email, email))


def set_alerts(alerts: Alerts, account_id: AccountId, command: SetAlerts, now: Instant) -> Decision:
    """Decide where alerts go and at which thresholds; a code is mailed unless the address is verified.

    Raises Invalid.
    """
    thresholds = checked_thresholds(command.thresholds)
    verifies = needs_verification(alerts, command.email)
    events: list[Event] = []
    if not _is_same(alerts.email, command.email):
        events.append(recorded.AddressGiven(account_id, command.email))
    if thresholds != alerts.thresholds:
        events.append(recorded.ThresholdsSet(account_id, thresholds))
    if not verifies:
        return recorded_in(alerts_stream(account_id), *events)
    expires_at = Instant(now + CODE_LIFE)
    events.append(
        recorded.VerificationRequested(
            account_id, command.verification_id, command.code_digest, requested_at=now, expires_at=expires_at
        )
    )
    # By the claim the account is found again, whoever shows the code.
    claim = Claim(CODE_SCOPE, command.verification_id.bytes, account_id, expires_at=expires_at)
    decision = recorded_in(alerts_stream(account_id), *events)
    return msgspec.structs.replace(decision, claims=(claim,))


def switch_off(alerts: Alerts, account_id: AccountId) -> Decision:
    """Decide that the account is told nothing any more; nothing is recorded where it is not told anything now."""
    if alerts.email is None:
        return NOTHING
    return recorded_in(alerts_stream(account_id), recorded.AlertsSwitchedOff(account_id))


def verify(alerts: Alerts, account_id: AccountId, command: VerifyAddress, now: Instant) -> Decision:
    """Decide on a code that is shown: ``AddressVerified`` for the right one, ``VerificationFailed`` for a wrong one.

    Raises CodeRefused where no code could be right any more.
    """
    right = is_right(alerts.codes.get("verification"), command.verification_id, command.code_digest, now)
    event = recorded.AddressVerified if right else recorded.VerificationFailed
    return recorded_in(alerts_stream(account_id), event(account_id, command.verification_id))


def raise_alerts(alerts: Alerts, account_id: AccountId, due: Sequence[Due], notice_id: UUID) -> Decision:
    """Decide to tell of what is due, all in one mail; of what was raised before nothing is told again."""
    if not alerts.verified:
        return NOTHING
    fresh = sorted((one for one in due if one.position > alerts.raised_until), key=lambda one: one.position)
    raised = (
        recorded.AlertRaised(
            account_id=account_id,
            notice_id=notice_id,
            kind=one.kind,
            cause=one.cause,
            cause_position=one.position,
            happened_at=one.at,
            threshold=one.threshold,
            balance=one.balance,
            vps_id=one.vps_id,
            amount=one.amount,
        )
        for one in _of_whole_causes(fresh)
    )
    return recorded_in(alerts_stream(account_id), *raised)


def end_alerts(alerts: Alerts, account_id: AccountId) -> tuple[Event, ...]:
    """Return what is recorded when an account is closed; nothing where it never had alerts."""
    # A code that was mailed already needs no end of its own: none is right for an account that is closed.
    nothing_waits = alerts.email is None and not alerts.notices
    return () if alerts.ended or nothing_waits else (recorded.AlertsEnded(account_id),)


def _of_whole_causes(fresh: Sequence[Due]) -> Sequence[Due]:
    """Return as many as one mail takes; what follows from one event is never parted."""
    if len(fresh) <= NOTICE_ALERTS_MAX:
        return fresh
    last = fresh[NOTICE_ALERTS_MAX].position
    return [one for one in fresh if one.position < last]


def _is_same(email: str | None, other: str) -> bool:
    return checked_email(other) == (None if email is None else email_form(email))


def _without(alerts: Alerts, notice_id: UUID) -> dict[UUID, Notice]:
    return {id_: notice for id_, notice in alerts.notices.items() if id_ != notice_id}


def _own_codes(alerts: Alerts) -> dict[CodeKind, MailedCode]:
    return {kind: code for kind, code in alerts.codes.items() if kind in OWN_CODES}


def _own_notices(alerts: Alerts) -> dict[UUID, Notice]:
    return {id_: notice for id_, notice in alerts.notices.items() if notice.kind in OWN_CODES}


def _given_up(alerts: Alerts, event: recorded.MailGivenUp) -> GivenUp | None:
    if event.notice_id in _own_notices(alerts):
        return alerts.undelivered
    assert alerts.email is not None, "without an address there are no notices"
    since = event.at if alerts.undelivered is None else alerts.undelivered.since
    return GivenUp(alerts.email, since, event.cause, event.reason)


def _with_new_code(alerts: Alerts, event: recorded.CodeRequested, code_id: UUID) -> Alerts:
    kind, at = KINDS[type(event)], event.requested_at
    code = MailedCode(code_id, event.code_digest, event.expires_at)
    others = {id_: notice for id_, notice in alerts.notices.items() if notice.kind != kind}
    notice = Notice(code_id, kind, due_at=at, begun_at=at)
    return msgspec.structs.replace(alerts, codes={**alerts.codes, kind: code}, notices={**others, notice.id: notice})


def _with_failure(alerts: Alerts, kind: CodeKind) -> Alerts:
    code = alerts.codes[kind]
    code = msgspec.structs.replace(code, failures=code.failures + 1)
    return msgspec.structs.replace(alerts, codes={**alerts.codes, kind: code})


def _without_code(alerts: Alerts, kind: CodeKind) -> dict[CodeKind, MailedCode]:
    return {one: code for one, code in alerts.codes.items() if one != kind}


def _with_alert(alerts: Alerts, event: recorded.AlertRaised) -> Alerts:
    at = event.happened_at
    notice = alerts.notices.get(event.notice_id) or Notice(event.notice_id, "alert", due_at=at, begun_at=at)
    notice = msgspec.structs.replace(notice, alerts=(*notice.alerts, event))
    return msgspec.structs.replace(_with_notice(alerts, notice), raised_until=event.cause_position)


def _with_notice(alerts: Alerts, notice: Notice) -> Alerts:
    return msgspec.structs.replace(alerts, notices={**alerts.notices, notice.id: notice})
