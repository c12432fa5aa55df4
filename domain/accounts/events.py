"""What is recorded of accounts: who they are, how they log in, their SSH keys."""

from typing import Literal

from domain.events import Event, Personal
from domain.ids import AccountId, SshKeyId
from domain.money import MicroUsd
from domain.time import Instant

Role = Literal["support", "finance", "admin"]
ErasureReason = Literal["requested", "expired", "unlawful"]
"""The person asked for it; it was kept for as long as it may be; it should never have been kept (GDPR, article 17)."""


class AccountRegistered(Event, frozen=True, tag="accounts.account-registered.v1"):
    """An account exists."""

    account_id: AccountId
    email: Personal
    password_hash: Personal
    """Argon2id in its usual text form; it is erased with the account."""


class RolesSet(Event, frozen=True, tag="accounts.roles-set.v1"):
    """An account has these roles, and no others."""

    account_id: AccountId
    roles: tuple[Role, ...]


class PasswordChanged(Event, frozen=True, tag="accounts.password-changed.v1"):
    """The account has another password; every session before ends."""

    account_id: AccountId
    password_hash: Personal


class PasswordRehashed(Event, frozen=True, tag="accounts.password-rehashed.v1"):
    """The same password is kept under a newer hash, made when it was shown; no session ends."""

    account_id: AccountId
    password_hash: Personal


class EmailVerified(Event, frozen=True, tag="accounts.email-verified.v1"):
    """Whoever reads mail at the account's address has shown a code that was mailed there; recorded once."""

    account_id: AccountId


class SessionEnded(Event, frozen=True, tag="accounts.session-ended.v1"):
    """One JWT is refused from here on; after ``expires_at`` it would be anyway."""

    account_id: AccountId
    jti: str
    expires_at: Instant


class AccountClosed(Event, frozen=True, tag="accounts.account-closed.v1"):
    """Its owner closed an account; its VPSs are deleted and the rest of its balance refunded from here on."""

    account_id: AccountId
    at: Instant


class ClosingFinished(Event, frozen=True, tag="accounts.closing-finished.v1"):
    """Nothing of a closed account is left to be done; it comes again where a late payment went back.

    What went back is told by the events of each payment, as refunds with the cause ``closure``.
    """

    account_id: AccountId
    forfeited: MicroUsd
    """What stays of the balance: it was given and not paid for, or is less than a cent of a payment."""
    at: Instant


class PasswordTried(Event, frozen=True, tag="accounts.password-tried.v1"):
    """Somebody shows a password. Recorded before it is looked at, so that tries at once count one by one.

    The stream is that of one account (or of an address without one: then ``account_id`` is None) and one network.
    """

    account_id: AccountId | None
    at: Instant


class PasswordPutOff(Event, frozen=True, tag="accounts.password-put-off.v1"):
    """A password that was tried was not looked at after all, since too many others were to be: it does not count."""

    account_id: AccountId | None


class PasswordConfirmed(Event, frozen=True, tag="accounts.password-confirmed.v1"):
    """Whoever was signed in already showed the right password once more, before something grave."""

    account_id: AccountId


class AccountErased(Event, frozen=True, tag="accounts.account-erased.v1"):
    """A closed account is to be nobody's: from here on its key and all that is kept beside the events are destroyed."""

    account_id: AccountId
    reason: ErasureReason
    """A word and no text, since it stays."""
    at: Instant


class ErasureFinished(Event, frozen=True, tag="accounts.erasure-finished.v1"):
    """The key of an erased account is destroyed, and what was kept beside the events."""

    account_id: AccountId
    at: Instant


class LoginSucceeded(Event, frozen=True, tag="accounts.login-succeeded.v1"):
    """A password was right, and a JWT was given."""

    account_id: AccountId
    jti: str


class LoginFailed(Event, frozen=True, tag="accounts.login-failed.v1"):
    """A password was wrong; ``account_id`` is None where the address belongs to nobody."""

    account_id: AccountId | None
    at: Instant


class SshKeyAdded(Event, frozen=True, tag="accounts.ssh-key-added.v1"):
    """An account keeps an OpenSSH public key with us."""

    account_id: AccountId
    ssh_key_id: SshKeyId
    name: Personal
    public_key: Personal
    """As given: type, key, comment."""
    fingerprint: str
    """SHA256:… as ``ssh-keygen -l`` tells it."""
    at: Instant


class SshKeyRemoved(Event, frozen=True, tag="accounts.ssh-key-removed.v1"):
    """A key is no longer offered; VPSs that were made with it keep it."""

    account_id: AccountId
    ssh_key_id: SshKeyId
