"""The sealer: AES-256-GCM under a key per account, each wrapped by the master key and cached for a while."""

import base64
import binascii
import hmac
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import sha256
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.sealing.key_tables import KeyTable, Wrapped
from adapters.sealing.master_key import KeyRing, MasterKey
from adapters.sealing.secret_tables import SecretTable, kept_secret
from adapters.sealing.wrapping import Wrapping, WrongMasterKey
from domain.errors import InvariantBroken
from domain.events import ERASED
from domain.ids import AccountId, EventId
from domain.sealed import AccountIsErased, SealBroken, body_of, header_of

KEYS_KEPT_MAX = 65_536
KEYS_LOADED_AT_ONCE_MAX = 8_192
RECHECK_AFTER_S = 30.0
"""How old a cached key may be when it is asked for again: so long a key that another process erased works on."""

HASHING = "keyed hash"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_CANARY = AccountId(UUID(int=0))


class KeyNotLoaded(Exception):
    """A promise of our own was broken: ``load`` was not called for this account, or too long ago."""


class _Held(msgspec.Struct, frozen=True):
    cipher: AESGCM | None
    """None: there is no key."""
    erased: bool
    checked_s: float


class AccountSealer:
    """The port Sealer; ``domain.sealed`` tells what sealed text looks like."""

    def __init__(
        self,
        master_keys: MasterKey | KeyRing,
        keys: KeyTable,
        secrets: SecretTable | None = None,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``secrets``: without it there is one master key for ever, from which every secret is derived."""
        ring = KeyRing([master_keys]) if isinstance(master_keys, MasterKey) else master_keys
        self.wrapping = Wrapping(ring)
        self._hashing_key = ring.first.derive(HASHING)
        self._master_key = ring.first
        self._keys = keys
        self._secrets = secrets
        self._monotonic_s = monotonic_s
        self._held: OrderedDict[AccountId, _Held] = OrderedDict()
        self._erasures = 0
        """How often keys were let go of, so that no read that began before brings one back."""
        self._all_stale_at_s = -math.inf

    async def check_master_key(self) -> None:
        """Raise WrongMasterKey unless this database's keys are wrapped by a master key that is known here.

        To be asked at start: only after it secrets are those that outlived earlier master keys.
        """
        if self._secrets is not None:
            await self._find_wrapping_key(self._secrets)
            first = self.wrapping.current.derive(HASHING)
            self._hashing_key = await kept_secret(self._secrets, self.wrapping, HASHING, first)
        self._held.pop(_CANARY, None)
        await self.load([_CANARY], create=True)

    async def load(self, account_ids: Collection[AccountId], *, create: bool = False) -> None:
        """Have the keys of these accounts at hand for ``seal`` and ``unseal``; make missing ones if told.

        A key that was looked up less than ``RECHECK_AFTER_S`` ago is not looked up again. At most
        ``KEYS_LOADED_AT_ONCE_MAX`` accounts; raises WrongMasterKey.
        """
        wanted = set(account_ids)
        assert len(wanted) <= KEYS_LOADED_AT_ONCE_MAX, "too many keys at once: load them in parts"
        stale = [account_id for account_id in wanted if not self._is_fresh(account_id)]
        if not stale:
            return
        erasures = -1
        while erasures != self._erasures:
            # A key that is erased while it is being read is not to come back by what was read before.
            erasures = self._erasures
            kept = await self._read(stale, create=create)
        for account_id in stale:
            self._hold(account_id, kept.get(account_id), erased=account_id in kept and kept[account_id] is None)

    def seal(self, account_id: AccountId, event_id: EventId, field: str, text: str) -> str:
        """Return ``text`` sealed, bound to the event and the field. The key must be at hand.

        Of an account whose key was erased nothing personal is kept any more: raises AccountIsErased.
        """
        held = self._at_hand(account_id)
        if held.erased:
            raise AccountIsErased
        if held.cipher is None:
            raise KeyNotLoaded(f"account {account_id} has no key: load it with create=True")
        if not field.isidentifier():
            raise InvariantBroken("a sealed field has a plain name")
        header = header_of(account_id, event_id, field)
        nonce = os.urandom(_NONCE_BYTES)
        return f"{header}.{_to_base64(nonce + held.cipher.encrypt(nonce, text.encode(), header.encode()))}"

    def unseal(self, account_id: AccountId, event_id: EventId, field: str, sealed: str) -> str:
        """Return the text that was sealed for this place, or ``ERASED`` where the key is gone.

        The key must have been loaded. Raises SealBroken, also where the text was sealed for another place.
        """
        if sealed == ERASED:
            return ERASED
        header, body = header_of(account_id, event_id, field), body_of(sealed, account_id, event_id, field)
        cipher = self._at_hand(account_id).cipher
        if cipher is None:
            return ERASED
        content = _from_base64(body)
        try:
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], header.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"not what was sealed as {header}: run `litevps audit verify`") from error

    def is_erased(self, account_id: AccountId) -> bool:
        """Return whether the key of an account was erased; it must have been loaded."""
        return self._at_hand(account_id).erased

    async def erase(self, account_id: AccountId) -> None:
        """Delete an account's key for good, and have every process let go of it.

        Others are told at once, and one that is not reached then sees it after at most ``RECHECK_AFTER_S``.
        """
        await self._keys.erase(account_id)
        self.forget(account_id)

    def forget(self, account_id: AccountId | None = None) -> None:
        """Let go of a key that was erased, by this process or another; None: look up all anew."""
        self._erasures += 1
        if account_id is None:
            self._all_stale_at_s = self._monotonic_s()
        else:
            self._hold(account_id, None, erased=True)

    def keyed_hash(self, scope: str, text: str) -> bytes:
        """Return a hash of ``text`` that finds it again without storing it; 32 bytes, under the master key."""
        scope_bytes = scope.encode()
        message = len(scope_bytes).to_bytes(4, "big") + scope_bytes + text.encode()
        return hmac.digest(self._hashing_key, message, sha256)

    async def _find_wrapping_key(self, secrets: SecretTable) -> None:
        current = await secrets.current()
        if current is None:
            kept = (await self._keys.read([_CANARY])).get(_CANARY)
            first = self._master_key if kept is None else self.wrapping.opener_of(_CANARY.bytes, kept)
            if first is None:
                raise WrongMasterKey("the keys of this database were wrapped by another master key")
            await secrets.begin_with(first.id)
            current = await secrets.current()
            assert current is not None, "one wraps from the first start on"
        self.wrapping.use(current)

    async def _add(self, account_ids: Collection[AccountId]) -> None:
        """Make keys, wrapped by the master key that wraps now: another process may have changed which that is."""
        new = {account_id: os.urandom(_KEY_BYTES) for account_id in account_ids}
        while True:
            wrapped = {account_id: self.wrapping.wrap(account_id.bytes, key) for account_id, key in new.items()}
            if self._secrets is None:
                await self._keys.add(wrapped)
                return
            if await self._keys.add(wrapped, only_if_wraps=self.wrapping.current.id):
                return
            await self._find_wrapping_key(self._secrets)

    async def _read(self, account_ids: Collection[AccountId], *, create: bool) -> dict[AccountId, Wrapped]:
        kept = await self._keys.read(account_ids)
        missing = [account_id for account_id in account_ids if account_id not in kept]
        if create and missing:
            await self._add(missing)
            # Read again: another process may have been faster, and its key is then the key.
            kept |= await self._keys.read(missing)
        return kept

    def _is_fresh(self, account_id: AccountId) -> bool:
        held = self._held.get(account_id)
        if held is None:
            return False
        self._held.move_to_end(account_id)
        # That there is no key yet is never believed for long: another process may make it at any moment.
        there_was_none = held.cipher is None and not held.erased
        is_young = self._monotonic_s() - held.checked_s < RECHECK_AFTER_S and held.checked_s > self._all_stale_at_s
        return is_young and not there_was_none

    def _hold(self, account_id: AccountId, wrapped: Wrapped, *, erased: bool) -> None:
        cipher = None if wrapped is None else AESGCM(self.wrapping.unwrap(account_id.bytes, wrapped))
        self._held[account_id] = _Held(cipher, erased, self._monotonic_s())
        self._held.move_to_end(account_id)
        while len(self._held) > KEYS_KEPT_MAX:
            self._held.popitem(last=False)

    def _at_hand(self, account_id: AccountId) -> _Held:
        held = self._held.get(account_id)
        if held is None:
            raise KeyNotLoaded(f"the key of account {account_id} was not loaded")
        return held


def _to_base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise SealBroken("not sealed text") from error
    # One text has one form: a changed character that would decode to the same bytes is a change all the same.
    if _to_base64(content) != text:
        raise SealBroken("not sealed text")
    return content
