"""An account: who it is, its password, and which of its sessions are good."""

import msgspec

from domain.accounts.commands import ChangePassword, EndSession, RegisterAccount, RehashPassword
from domain.accounts.events import (
    AccountClosed,
    AccountErased,
    AccountRegistered,
    ClosingFinished,
    EmailVerified,
    ErasureFinished,
    PasswordChanged,
    PasswordRehashed,
    Role,
    RolesSet,
    SessionEnded,
)
from domain.accounts.sessions import NONE_ENDED, EndedSessions
from domain.deciding import NOTHING, AggregateRef, Decision, Fold, recorded_in
from domain.errors import Refusal
from domain.events import Event
from domain.ids import AccountId, account_stream, wallet_stream
from domain.ports import Claim
from domain.time import HOUR, Instant
from domain.wallet.events import WalletOpened

EMAIL_CLAIM = "email"
"""The scope of the claim that an account has on its e-mail address."""
SESSION_LIFE = 12 * HOUR


class Unauthorized(Refusal):
    """Nothing was shown that proves who asks, or what was shown is no longer good."""

    code = "unauthorized"
    sentence = "unauthorized"


class EmailTaken(Refusal):
    """Another account has this e-mail address."""

    code = "email_taken"
    sentence = "e-mail address is taken"


class WrongPassword(Refusal):
    """The present password, which a change asks for, is another."""

    code = "wrong_password"
    sentence = "the present password is wrong"


class Account(msgspec.Struct, frozen=True):
    """An account as its events tell it; ``id`` is None where there is none."""

    id: AccountId | None = None
    email: str = ""
    password_hash: str = ""
    password_number: int = 0
    """Counts passwords from 1. A session is good for the password that it began with."""
    email_verified: bool = False
    """Whoever reads mail at ``email`` has shown so; nothing depends on it."""
    roles: tuple[Role, ...] = ()
    ended_sessions: EndedSessions = NONE_ENDED
    closed: bool = False
    """Its owner has closed it: nobody logs in, and no session or token of it is good."""
    closing_finished: bool = False
    erased: bool = False
    """Nobody is to know any more whose it was."""
    erasure_finished: bool = False

    @property
    def is_open(self) -> bool:
        """Return whether there is such an account, and it is not closed."""
        return self.id is not None and not self.closed


def evolve(account: Account, event: Event) -> Account:
    """Return the account after an event."""
    match event:
        case AccountRegistered():
            return msgspec.structs.replace(
                account,
                id=event.account_id,
                email=event.email,
                password_hash=event.password_hash,
                password_number=1,
            )
        case RolesSet():
            return msgspec.structs.replace(account, roles=event.roles)
        case PasswordChanged():
            return msgspec.structs.replace(
                account,
                password_hash=event.password_hash,
                password_number=account.password_number + 1,
                ended_sessions=NONE_ENDED,
            )
        case PasswordRehashed():
            return msgspec.structs.replace(account, password_hash=event.password_hash)
        case EmailVerified():
            return msgspec.structs.replace(account, email_verified=True)
        case SessionEnded():
            return msgspec.structs.replace(account, ended_sessions=_with_ended(account.ended_sessions, event))
        case AccountClosed():
            return msgspec.structs.replace(account, closed=True)
        case ClosingFinished():
            return msgspec.structs.replace(account, closing_finished=True)
        case AccountErased():
            return msgspec.structs.replace(account, erased=True)
        case ErasureFinished():
            return msgspec.structs.replace(account, erasure_finished=True)
        case _:
            return account


FOLD = Fold(initial=Account(), evolve=evolve)


def account_ref(account_id: AccountId) -> AggregateRef[Account]:
    """Return the reference of an account."""
    return AggregateRef(account_stream(account_id), FOLD)


def register(command: RegisterAccount) -> Decision:
    """Decide that the account and its wallet exist; the claim sees to it that the address is free."""
    account_id = command.account_id
    stream = account_stream(account_id)
    registered = AccountRegistered(account_id, command.email, command.password_hash)
    roles = (RolesSet(account_id, command.roles),) if command.roles else ()
    return Decision(
        events=(
            *((stream, event) for event in (registered, *roles)),
            (wallet_stream(account_id), WalletOpened(account_id)),
        ),
        claims=(Claim(EMAIL_CLAIM, command.email_key, account_id),),
    )


def change_password(account: Account, command: ChangePassword) -> Decision:
    """Decide on another password, which ends every session.

    Raises Unauthorized where the account was closed or had another password meanwhile.
    """
    if account.id is None or account.closed or account.password_number != command.password_number:
        raise Unauthorized
    return recorded_in(account_stream(account.id), PasswordChanged(account.id, command.password_hash))


def rehash_password(account: Account, command: RehashPassword) -> Decision:
    """Decide to keep the same password under another hash; nothing is recorded where it is another one by now."""
    if account.id is None or account.closed or account.password_hash != command.outdated_hash:
        return NOTHING
    return recorded_in(account_stream(account.id), PasswordRehashed(account.id, command.password_hash))


def end_session(account: Account, command: EndSession) -> Decision:
    """Decide that a session has ended; one that has ended already is left so."""
    if account.id is None:
        raise Unauthorized()
    if command.jti in account.ended_sessions:
        return Decision()
    return recorded_in(account_stream(account.id), SessionEnded(account.id, command.jti, command.expires_at))


def session_is_good(account: Account, jti: str, password_number: int) -> bool:
    """Tell whether a session, not expired by its own word, is still to be believed."""
    return account.is_open and password_number == account.password_number and jti not in account.ended_sessions


def session_has_ended(account: Account, jti: str, password_number: int) -> bool:
    """Tell whether a session will never be good again, whatever is recorded from now on."""
    return account.closed or password_number < account.password_number or jti in account.ended_sessions


def _with_ended(ended: EndedSessions, event: SessionEnded) -> EndedSessions:
    # A session that ends now expires within its life from now, so whatever expired that long before it
    # has expired by now: without a clock, old entries go.
    return ended.and_one(event.jti, event.expires_at, Instant(event.expires_at - SESSION_LIFE))
