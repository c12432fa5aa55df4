"""The SSH keys of an account, which new VPSs can be made with."""

import msgspec

from domain.accounts.commands import AddSshKey, RemoveSshKey
from domain.accounts.events import SshKeyAdded, SshKeyRemoved
from domain.accounts.public_keys import parse_public_key
from domain.deciding import AggregateRef, Decision, Fold, recorded_in
from domain.errors import Invalid, NotFound, Refusal
from domain.events import Event
from domain.ids import AccountId, SshKeyId, ssh_keys_stream
from domain.time import Instant

SSH_KEYS_MAX = 100
"""How many keys one account can have."""
NAME_CHARACTERS_MAX = 64


class SshKeyTaken(Refusal):
    """The account has this key already, maybe under another name."""

    code = "ssh_key_taken"
    sentence = "SSH key exists already"


class TooManySshKeys(Refusal):
    """The account has as many keys as it can have."""

    code = "too_many_ssh_keys"
    sentence = "too many SSH keys"


class SshKey(msgspec.Struct, frozen=True):
    """One key of an account."""

    id: SshKeyId
    name: str
    public_key: str
    fingerprint: str
    added_at: Instant


class SshKeys(msgspec.Struct, frozen=True):
    """All keys of an account, oldest first. Replaced, never changed."""

    by_id: dict[SshKeyId, SshKey] = {}


def evolve(keys: SshKeys, event: Event) -> SshKeys:
    """Return the keys after an event."""
    match event:
        case SshKeyAdded():
            key = SshKey(event.ssh_key_id, event.name, event.public_key, event.fingerprint, event.at)
            return SshKeys({**keys.by_id, key.id: key})
        case SshKeyRemoved():
            return SshKeys({id_: key for id_, key in keys.by_id.items() if id_ != event.ssh_key_id})
        case _:
            return keys


FOLD = Fold(initial=SshKeys(), evolve=evolve)


def ssh_keys_ref(account_id: AccountId) -> AggregateRef[SshKeys]:
    """Return the reference of an account's keys."""
    return AggregateRef(ssh_keys_stream(account_id), FOLD)


def add(keys: SshKeys, account_id: AccountId, command: AddSshKey, now: Instant) -> Decision:
    """Decide to keep a key. Raises Invalid, NotAPublicKey, SshKeyTaken or TooManySshKeys."""
    name = _checked_name(command.name)
    key = parse_public_key(command.public_key)
    taken = next((known for known in keys.by_id.values() if known.fingerprint == key.fingerprint), None)
    if taken is not None:
        raise SshKeyTaken(id=str(taken.id))
    if len(keys.by_id) >= SSH_KEYS_MAX:
        raise TooManySshKeys(ssh_keys_max=SSH_KEYS_MAX)
    return recorded_in(
        ssh_keys_stream(account_id),
        SshKeyAdded(
            account_id=account_id,
            ssh_key_id=command.ssh_key_id,
            name=name,
            public_key=key.line,
            fingerprint=key.fingerprint,
            at=now,
        ),
    )


def remove(keys: SshKeys, account_id: AccountId, command: RemoveSshKey) -> Decision:
    """Decide to offer a key no longer. Raises NotFound."""
    if command.ssh_key_id not in keys.by_id:
        raise NotFound()
    return recorded_in(ssh_keys_stream(account_id), SshKeyRemoved(account_id, command.ssh_key_id))


def authorized_keys(keys: SshKeys, wanted: tuple[SshKeyId, ...]) -> tuple[str, ...]:
    """Return the lines of the keys wanted. Raises Invalid if the account has not all of them."""
    if any(id_ not in keys.by_id for id_ in wanted):
        raise Invalid(fields={"ssh_key_ids": "names a key that you do not have"})
    return tuple(keys.by_id[id_].public_key for id_ in wanted)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise Invalid(
            fields={"name": f"must have 1 to {NAME_CHARACTERS_MAX} characters, none of them a control character"}
        )
    return name
