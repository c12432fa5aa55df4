"""Another password by a code that is mailed to the account's own address, for who does not know the present one."""

from uuid import UUID

import msgspec

from domain.accounts.account import Account
from domain.accounts.events import EmailVerified, PasswordChanged
from domain.accounts.ports import Quota
from domain.alerts import codes
from domain.alerts.alerts import Alerts
from domain.alerts.codes import RESET_SCOPE, CodeRefused
from domain.alerts.events import PasswordResetDone, PasswordResetFailed, PasswordResetRequested
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import account_stream, alerts_stream
from domain.ports import Claim
from domain.time import HOUR, Instant

RESET_LIFE = HOUR
"""No shorter than the window of ``RESETS_OF_ADDRESS``: while no code is mailed any more, the last one is still good."""
RESETS_OF_ADDRESS = Quota("password-reset-address", 3, 3600)
"""How many codes are mailed to one address, so that nobody is flooded, and the last code stays good for a while."""


class RequestReset(msgspec.Struct, frozen=True):
    """Have a code mailed to an account's own address."""

    reset_id: UUID
    code_digest: str


class ResetPassword(msgspec.Struct, frozen=True):
    """Show the code, and give the account another password."""

    reset_id: UUID
    code_digest: str
    password_hash: str


def request_reset(account: Account, command: RequestReset, now: Instant) -> Decision:
    """Decide that a code is mailed; nothing else of the account changes by that. A closed account is mailed none."""
    if account.id is None or not account.is_open:
        return NOTHING
    expires_at = Instant(now + RESET_LIFE)
    requested = PasswordResetRequested(
        account.id, command.reset_id, command.code_digest, requested_at=now, expires_at=expires_at
    )
    claim = Claim(RESET_SCOPE, command.reset_id.bytes, account.id, expires_at=expires_at)
    return msgspec.structs.replace(recorded_in(alerts_stream(account.id), requested), claims=(claim,))


def is_right(account: Account, alerts: Alerts, reset_id: UUID, code_digest: str, now: Instant) -> bool:
    """Tell whether a code is the one that was mailed. Raises CodeRefused where none could be right any more."""
    if not account.is_open:
        raise CodeRefused
    return codes.is_right(alerts.codes.get("password-reset"), reset_id, code_digest, now)


def fail_reset(account: Account, alerts: Alerts, reset_id: UUID, code_digest: str, now: Instant) -> Decision:
    """Decide that a wrong code was shown; nothing for the right one. Raises CodeRefused."""
    if account.id is None or is_right(account, alerts, reset_id, code_digest, now):
        return NOTHING
    return recorded_in(alerts_stream(account.id), PasswordResetFailed(account.id, reset_id))


def reset_password(account: Account, alerts: Alerts, command: ResetPassword, now: Instant) -> Decision:
    """Decide on another password, which ends every session and uses the code up. Raises CodeRefused.

    Whoever shows the code reads mail at the account's address, which verifies that as well.
    """
    if account.id is None or not is_right(account, alerts, command.reset_id, command.code_digest, now):
        raise CodeRefused
    verified = () if account.email_verified else (EmailVerified(account.id),)
    return Decision(
        events=(
            (alerts_stream(account.id), PasswordResetDone(account.id, command.reset_id)),
            (account_stream(account.id), PasswordChanged(account.id, command.password_hash)),
            *((account_stream(account.id), event) for event in verified),
        )
    )
