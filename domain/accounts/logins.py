"""Tried logins of one e-mail address: how many failed in a row, and when the next may be tried."""

import msgspec

from domain.accounts.events import LoginFailed, LoginSucceeded
from domain.deciding import Decision, Fold, View, recorded_in
from domain.errors import Refusal
from domain.events import Event
from domain.ids import AccountId, StreamId, logins_stream
from domain.time import HOUR, Instant, seconds

FREE_FAILURES = 4
"""Failures in a row that cost no waiting."""
DELAY_S_MAX = 60
"""The longest wait. There is no lock-out: whoever waits may try again."""
FORGOTTEN_AFTER = HOUR
"""Failures count as in a row while no longer than this passes between them."""


class InvalidCredentials(Refusal):
    """No account has this e-mail address and this password; which of the two is wrong is not told."""

    code = "invalid_credentials"
    sentence = "invalid credentials"


class TooManyAttempts(Refusal):
    """Logins to one e-mail address failed again and again, so the next has to wait."""

    code = "too_many_attempts"
    sentence = "too many failed logins, try again later"


class Logins(msgspec.Struct, frozen=True):
    """The failures in a row, and when the last of them was."""

    failures: int = 0
    last_failed_at: Instant = Instant(0)


def evolve(logins: Logins, event: Event) -> Logins:
    """Return the logins after an event."""
    match event:
        case LoginFailed():
            in_a_row = event.at - logins.last_failed_at < FORGOTTEN_AFTER
            return Logins(logins.failures + 1 if in_a_row else 1, event.at)
        case LoginSucceeded():
            return Logins()
        case _:
            return logins


FOLD = Fold(initial=Logins(), evolve=evolve, snapshot=Logins)


def logins_view(subject: AccountId) -> View[Logins]:
    """Return the view of the logins of an account, or of the id that stands for an address without one."""
    return View(logins_stream(subject), FOLD)


def check_delay(logins: Logins, now: Instant) -> None:
    """Raise TooManyAttempts before the next login may be tried.

    The wait after the fifth failure in a row is 1 s, and doubles from there to ``DELAY_S_MAX``.
    """
    beyond = logins.failures - FREE_FAILURES
    if beyond <= 0:
        return
    delay_s = min(2 ** min(beyond - 1, 30), DELAY_S_MAX)
    # A clock that has stepped back makes nobody wait longer than the delay.
    left = min(logins.last_failed_at + seconds(delay_s) - now, seconds(delay_s))
    if left > 0:
        raise TooManyAttempts(retry_after_seconds=-(-left // seconds(1)))


def fail(logins: Logins, subject: AccountId, account_id: AccountId | None, now: Instant) -> Decision:
    """Decide that a login failed. Of tries at one instant the later are refused, not counted."""
    check_delay(logins, now)
    return recorded_in(_stream(subject), LoginFailed(account_id, at=now))


def succeed(logins: Logins, account_id: AccountId, jti: str, now: Instant) -> Decision:
    """Decide that a login succeeded, if its time had come."""
    check_delay(logins, now)
    return recorded_in(_stream(account_id), LoginSucceeded(account_id, jti))


def _stream(subject: AccountId) -> StreamId:
    return logins_stream(subject)
