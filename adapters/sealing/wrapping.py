"""Wrapping: how keys and secrets are kept in the database under a master key, which is kept outside of it."""

import os
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.sealing.master_key import MASTER_KEY_ID_BYTES, KeyRing, MasterKey

_NONCE_BYTES = 12
_FORMAT = b"\x02"
_PREFIX_BYTES = len(_FORMAT) + MASTER_KEY_ID_BYTES
UNMARKED_BYTES = 60
"""Of a key as it was wrapped at first, without a word of the master key: nonce, 32 bytes, tag."""


class WrongMasterKey(Exception):
    """No master key that is known here wrapped the keys of this database."""


class Wrapping:
    """Wraps under one master key, and unwraps what any that is known wrapped.

    What is wrapped is ``02``, the id of the master key (8 bytes), a nonce (12 bytes) and AES-256-GCM of the secret,
    bound to what it is the key of. At first it was the nonce and the rest alone, which is still read.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self.current: MasterKey = ring.first
        self._ciphers: dict[bytes, AESGCM] = {}

    def use(self, master_key_id: bytes) -> None:
        """Wrap under this master key from here on. Raises WrongMasterKey where it is not known here."""
        self.current = self._known(master_key_id)

    def wrap(self, what: bytes, secret: bytes) -> bytes:
        """Return ``secret`` wrapped, bound to ``what`` it is the key of."""
        nonce = os.urandom(_NONCE_BYTES)
        return marked_by(self.current.id) + nonce + self._cipher(self.current).encrypt(nonce, secret, what)

    def unwrap(self, what: bytes, wrapped: bytes) -> bytes:
        """Return what was wrapped. Raises WrongMasterKey."""
        if len(wrapped) != UNMARKED_BYTES:
            if not wrapped.startswith(_FORMAT):
                raise WrongMasterKey("a key is wrapped in a form that is not known here")
            master_key = self._known(wrapped[len(_FORMAT) : _PREFIX_BYTES])
            opened = self._opened(master_key, what, wrapped[_PREFIX_BYTES:])
        else:
            opened = self._opened_by_any(self._ring, what, wrapped)
            if opened is None and self._ring.read_again():
                opened = self._opened_by_any(self._ring, what, wrapped)
        if opened is None:
            raise WrongMasterKey("a key was wrapped by another master key, or is that of another account")
        return opened

    def opener_of(self, what: bytes, wrapped: bytes) -> MasterKey | None:
        """Return the master key that wrapped this; None where it is not known here."""
        body = wrapped if len(wrapped) == UNMARKED_BYTES else wrapped[_PREFIX_BYTES:]
        return next((key for key in self._ring if self._opened(key, what, body) is not None), None)

    def is_current(self, wrapped: bytes) -> bool:
        """Return whether this is wrapped by the master key that wraps now."""
        return wrapped.startswith(marked_by(self.current.id)) and len(wrapped) != UNMARKED_BYTES

    def _known(self, master_key_id: bytes) -> MasterKey:
        found = self._ring.find(master_key_id)
        # Another process may have put it there since.
        if found is None and self._ring.read_again():
            found = self._ring.find(master_key_id)
        if found is None:
            raise WrongMasterKey(
                f"the keys of this database were wrapped by another master key, {master_key_id.hex()}: it is needed"
            )
        return found

    def _opened_by_any(self, master_keys: KeyRing, what: bytes, body: bytes) -> bytes | None:
        opened: Iterator[bytes | None] = (self._opened(key, what, body) for key in master_keys)
        return next((secret for secret in opened if secret is not None), None)

    def _opened(self, master_key: MasterKey, what: bytes, body: bytes) -> bytes | None:
        try:
            return self._cipher(master_key).decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], what)
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, master_key: MasterKey) -> AESGCM:
        if master_key.id not in self._ciphers:
            self._ciphers[master_key.id] = AESGCM(master_key.derive("key wrapping"))
        return self._ciphers[master_key.id]


def marked_by(master_key_id: bytes) -> bytes:
    """Return what begins everything that this master key wrapped."""
    return _FORMAT + master_key_id
