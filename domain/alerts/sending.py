"""Sending: what is recorded of each try to hand over a mail, when the next is, and when none is made any more."""

from uuid import UUID

from domain.accounts.account import Account
from domain.alerts.alerts import Alerts, Notice
from domain.alerts.events import GivenUpCause, MailFailed, MailGivenUp, MailSent
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import AccountId, alerts_stream
from domain.time import HOUR, MINUTE, Instant

RETRY_FIRST = MINUTE // 2
RETRY_MAX = 2 * HOUR
ATTEMPTS_MAX = 24
"""The last of them comes some one and a half days after the first."""
STALE_AFTER = 72 * HOUR
"""An alert that nobody could send for so long, since no mail server was set, would only confuse."""


def due_notice(alerts: Alerts, notice_id: UUID, now: Instant) -> Notice | None:
    """Return a mail that is to be tried now; None where it was sent, given up or is to wait."""
    notice = alerts.notices.get(notice_id)
    return None if notice is None or notice.due_at > now else notice


def is_stale(account: Account, alerts: Alerts, notice: Notice, now: Instant) -> bool:
    """Tell whether a mail is of no use any more: its code has expired, or what it tells is days old.

    One that was asked for in the moment in which the account was closed is of no use either.
    """
    if not account.is_open:
        return True
    if notice.kind != "alert":
        code = alerts.codes.get(notice.kind)
        return code is None or now >= code.expires_at
    return now - notice.begun_at > STALE_AFTER


def sent(alerts: Alerts, account_id: AccountId, notice_id: UUID, now: Instant) -> Decision:
    """Decide that a mail was handed over; recorded once."""
    if notice_id not in alerts.notices:
        return NOTHING
    return recorded_in(alerts_stream(account_id), MailSent(account_id, notice_id, now))


def failed(alerts: Alerts, account_id: AccountId, notice_id: UUID, reason: str, now: Instant) -> Decision:
    """Decide when a mail is tried again that nobody took; after ``ATTEMPTS_MAX`` it is given up."""
    notice = alerts.notices.get(notice_id)
    if notice is None:
        return NOTHING
    attempt = notice.attempts + 1
    if attempt >= ATTEMPTS_MAX:
        return given_up(alerts, account_id, notice_id, "unreachable", reason, now)
    pause = min(RETRY_FIRST * 2**notice.attempts, RETRY_MAX)
    retry_at = Instant(now + pause)
    return recorded_in(alerts_stream(account_id), MailFailed(account_id, notice_id, attempt, retry_at, reason))


def given_up(
    alerts: Alerts, account_id: AccountId, notice_id: UUID, cause: GivenUpCause, reason: str, now: Instant
) -> Decision:
    """Decide that a mail will never be sent."""
    if notice_id not in alerts.notices:
        return NOTHING
    return recorded_in(alerts_stream(account_id), MailGivenUp(account_id, notice_id, cause, reason, now))
