"""Passwords that are tried: how many failed in a row from one network, and when the next may be tried.

The wait is of an account and a network together, so that a stranger's failures keep nobody else out. Who guesses
from many networks is slowed down by a bound of the account, which holds for networks that it never came from.
Whoever solves a CAPTCHA need not wait, but is bounded as well: no more passwords a minute than with waiting.
"""

from uuid import UUID

import msgspec

from domain.accounts.events import LoginFailed, LoginSucceeded, PasswordConfirmed, PasswordPutOff, PasswordTried
from domain.accounts.ports import Quota
from domain.deciding import AggregateRef, Decision, Fold, recorded_in
from domain.errors import Refusal
from domain.events import Event
from domain.ids import AccountId, StreamId, password_tries_stream
from domain.time import HOUR, Instant, seconds

FREE_FAILURES = 4
"""Failures in a row that cost no waiting."""
DELAY_S_MAX = 60
"""The longest wait. There is no lock-out: whoever waits may try again."""
FORGOTTEN_AFTER = HOUR
"""Failures count as in a row while no longer than this passes between them."""
LOOKED_AT_WITHIN = seconds(5)
"""How long a password is looked at, at most; after a crash nobody is told what came of it."""
KNOWN_FOR = 30 * 24 * HOUR
"""How long a network is known to an account after the right password was shown from there."""

FROM_UNKNOWN_NETWORKS = Quota("password-unknown-networks", 20, 600)
"""Passwords of one account that may be tried without a CAPTCHA from all networks together that it does not know."""
WITH_CAPTCHA_FROM_NETWORK = Quota("password-captcha-network", 5, 300)
"""Passwords of one account that may be tried with a CAPTCHA from one network: one a minute, as by waiting."""
WITH_CAPTCHA_FROM_UNKNOWN_NETWORKS = Quota("password-captcha-unknown-networks", 100, 3600)
"""The same from all networks together that the account does not know."""


class InvalidCredentials(Refusal):
    """No account has this e-mail address and this password; which of the two is wrong is not told."""

    code = "invalid_credentials"
    sentence = "invalid credentials"


class CaptchaOrWait(Refusal):
    """Too many passwords of the account were wrong: the next one has to wait, or to come with a solved CAPTCHA."""

    code = "captcha_or_wait"
    sentence = "too many wrong passwords: wait, or solve a CAPTCHA"


class TooManyAttempts(Refusal):
    """So many passwords of the account were tried with a CAPTCHA that the next one has to wait all the same."""

    code = "too_many_attempts"
    sentence = "too many wrong passwords, try again later"


class Tries(msgspec.Struct, frozen=True):
    """What was tried for one account from one network."""

    failures: int = 0
    """In a row. One that is being looked at counts as failed until it proves right."""
    last_tried_at: Instant = Instant(0)
    open: int = 0
    """How many of them are being looked at."""
    let_in_at: Instant | None = None
    """When the last password was tried that was right."""


def evolve(tries: Tries, event: Event) -> Tries:
    """Return the tries after an event."""
    match event:
        case PasswordTried():
            in_a_row = event.at - tries.last_tried_at < FORGOTTEN_AFTER
            failures, still_open = (tries.failures, tries.open) if in_a_row else (0, 0)
            return Tries(failures + 1, event.at, still_open + 1, tries.let_in_at)
        case LoginFailed():
            return msgspec.structs.replace(tries, open=max(0, tries.open - 1))
        case PasswordPutOff():
            failures, still_open = max(0, tries.failures - 1), max(0, tries.open - 1)
            return msgspec.structs.replace(tries, failures=failures, open=still_open)
        case LoginSucceeded() | PasswordConfirmed():
            return Tries(0, tries.last_tried_at, max(0, tries.open - 1), tries.last_tried_at)
        case _:
            return tries


FOLD = Fold(initial=Tries(), evolve=evolve, snapshot=Tries)


def tries_ref(tries_id: UUID) -> AggregateRef[Tries]:
    """Return the reference of what was tried for one account, or an address without one, from one network."""
    return AggregateRef(password_tries_stream(tries_id), FOLD)


def is_known(tries: Tries, now: Instant) -> bool:
    """Tell whether the account came from this network of late."""
    return tries.let_in_at is not None and now - tries.let_in_at < KNOWN_FOR


def is_undecided(tries: Tries, now: Instant) -> bool:
    """Tell whether some password is being looked at that may turn out right, so that nobody has to wait for it."""
    return tries.open > 0 and 0 <= now - tries.last_tried_at < LOOKED_AT_WITHIN


def check_wait(tries: Tries, now: Instant) -> None:
    """Raise CaptchaOrWait before the next password may be tried.

    The wait after the fifth failure in a row is 1 s, and doubles from there to ``DELAY_S_MAX``.
    """
    beyond = tries.failures - FREE_FAILURES
    if beyond <= 0:
        return
    delay_s = min(2 ** min(beyond - 1, 30), DELAY_S_MAX)
    # A clock that has stepped back makes nobody wait longer than the delay.
    left = min(tries.last_tried_at + seconds(delay_s) - now, seconds(delay_s))
    if left > 0:
        raise CaptchaOrWait(retry_after_seconds=-(-left // seconds(1)))


def try_password(
    tries: Tries, stream: StreamId, account_id: AccountId | None, now: Instant, *, waits: bool = True
) -> Decision:
    """Decide that a password may be looked at; without ``waits``, whatever was tried before.

    Of those that come at once, the later ones see the earlier ones as failed. Raises CaptchaOrWait.
    """
    if waits:
        check_wait(tries, now)
    return recorded_in(stream, PasswordTried(account_id, at=now))


def put_off(stream: StreamId, account_id: AccountId | None) -> Decision:
    """Decide that a password was not looked at."""
    return recorded_in(stream, PasswordPutOff(account_id))


def fail(stream: StreamId, account_id: AccountId | None, now: Instant) -> Decision:
    """Decide that the password was wrong."""
    return recorded_in(stream, LoginFailed(account_id, at=now))


def succeed(stream: StreamId, account_id: AccountId, jti: str) -> Decision:
    """Decide that a login succeeded, which ends the failures in a row."""
    return recorded_in(stream, LoginSucceeded(account_id, jti))


def confirm(stream: StreamId, account_id: AccountId) -> Decision:
    """Decide that whoever is signed in showed the right password, which ends the failures in a row."""
    return recorded_in(stream, PasswordConfirmed(account_id))
