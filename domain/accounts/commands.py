"""What can be asked of accounts."""

import msgspec

from domain.accounts.events import ErasureReason, Role
from domain.ids import AccountId, SshKeyId
from domain.time import Instant


class RegisterAccount(msgspec.Struct, frozen=True):
    """Make an account; the e-mail address and the password were checked already."""

    account_id: AccountId
    email: str
    email_key: bytes
    """The keyed hash of the normalised address: nobody else can have it."""
    password_hash: str
    roles: tuple[Role, ...] = ()


class ChangePassword(msgspec.Struct, frozen=True):
    """Give an account another password."""

    password_hash: str
    password_number: int
    """Of the password that was shown; once there is another, it changes nothing any more."""


class RehashPassword(msgspec.Struct, frozen=True):
    """Keep a password, which was just shown, under a newer hash."""

    password_hash: str
    outdated_hash: str


class EndSession(msgspec.Struct, frozen=True):
    """Refuse one JWT from here on."""

    jti: str
    expires_at: Instant


class CloseAccount(msgspec.Struct, frozen=True):
    """End an account; the password was checked already."""

    email_key: bytes
    """The keyed hash of its address, which somebody else may have from here on."""


class EraseAccount(msgspec.Struct, frozen=True):
    """Forget whose a closed account was."""

    reason: ErasureReason
    leave_balance: bool = False
    """Even though money that was paid in could not go back."""


class AddSshKey(msgspec.Struct, frozen=True):
    """Keep an OpenSSH public key."""

    ssh_key_id: SshKeyId
    name: str
    public_key: str


class RemoveSshKey(msgspec.Struct, frozen=True):
    """No longer offer a key."""

    ssh_key_id: SshKeyId
