"""Verifying the address that an account was made with, by a code that is mailed there; nothing waits for it."""

from uuid import UUID

import msgspec

from domain.accounts import account as accounts
from domain.accounts.account import Account
from domain.accounts.commands import RegisterAccount
from domain.accounts.events import EmailVerified
from domain.accounts.ports import Quota
from domain.alerts import alerts as alerting
from domain.alerts import codes
from domain.alerts.alerts import CODE_LIFE, Alerts
from domain.alerts.codes import CODE_SCOPE, CodeRefused
from domain.alerts.commands import VerifyAddress
from domain.alerts.events import EmailVerificationDone, EmailVerificationFailed, EmailVerificationRequested
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import AccountId, account_stream, alerts_stream
from domain.ports import Claim
from domain.time import Instant

VERIFICATIONS_OF_ADDRESS = Quota("verify-email-address", 3, 3600)
"""How many codes are mailed to one address, that of a registration included."""


class RequestVerification(msgspec.Struct, frozen=True):
    """Have a code mailed to an account's own address."""

    verification_id: UUID
    code_digest: str


def register(registration: RegisterAccount, verification: RequestVerification | None, now: Instant) -> Decision:
    """Decide that an account exists, and that a code is mailed to its address; None: it was mailed too many."""
    registered = accounts.register(registration)
    mailed = NOTHING if verification is None else _mailed(registration.account_id, verification, now)
    return Decision(events=(*registered.events, *mailed.events), claims=(*registered.claims, *mailed.claims))


def request_verification(account: Account, command: RequestVerification, now: Instant) -> Decision:
    """Decide that a code is mailed; none is to an address that is verified, or whose account is closed."""
    if account.id is None or not account.is_open or account.email_verified:
        return NOTHING
    return _mailed(account.id, command, now)


def verify_email(
    account: Account, alerts: Alerts, account_id: AccountId, command: VerifyAddress, now: Instant
) -> Decision:
    """Decide on a code that is shown, whether it was mailed to the account's address or to that of its alerts.

    A wrong one is recorded as well. Raises CodeRefused where no code could be right any more.
    """
    mailed = alerts.codes.get("verify-email")
    if mailed is None or mailed.id != command.verification_id:
        return alerting.verify(alerts, account_id, command, now)
    if not account.is_open:
        raise CodeRefused
    stream = alerts_stream(account_id)
    if not codes.is_right(mailed, command.verification_id, command.code_digest, now):
        return recorded_in(stream, EmailVerificationFailed(account_id, mailed.id))
    done = (stream, EmailVerificationDone(account_id, mailed.id))
    verified = () if account.email_verified else ((account_stream(account_id), EmailVerified(account_id)),)
    return Decision(events=(done, *verified))


def _mailed(account_id: AccountId, command: RequestVerification, now: Instant) -> Decision:
    expires_at = Instant(now + CODE_LIFE)
    requested = EmailVerificationRequested(
        account_id, command.verification_id, command.code_digest, requested_at=now, expires_at=expires_at
    )
    claim = Claim(CODE_SCOPE, command.verification_id.bytes, account_id, expires_at=expires_at)
    return msgspec.structs.replace(recorded_in(alerts_stream(account_id), requested), claims=(claim,))
