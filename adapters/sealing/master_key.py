"""The master key: 32 bytes outside the database, from which every other secret of ours is derived."""

import base64
import binascii
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_KEY_BYTES = 32
_NAMESPACE = b"litevps/v1/"


class BadMasterKey(Exception):
    """The master key is not 32 bytes in base64, or others may read its file."""


class MasterKey:
    """The master key; it is never shown, and only what is derived from it is ever used."""

    def __init__(self, key: bytes) -> None:
        if len(key) != MASTER_KEY_BYTES:
            raise BadMasterKey(f"the master key must be {MASTER_KEY_BYTES} bytes, not {len(key)}")
        self._key = key

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose (HKDF-SHA256, RFC 5869); none tells of another or of the master key."""
        kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_NAMESPACE + purpose.encode())
        return kdf.derive(self._key)


def parse_master_key(text: str) -> MasterKey:
    """Read a master key from base64, as ``LITEVPS_MASTER_KEY`` has it; raises BadMasterKey."""
    try:
        return MasterKey(base64.b64decode(text.strip(), validate=True))
    except binascii.Error as error:
        raise BadMasterKey("the master key must be 32 bytes in base64") from error


def read_or_make_master_key(file: Path) -> MasterKey:
    """Read the master key from a file, which is made at the first start with mode 0600.

    Processes that start at once come to the same key: the first complete file wins. Raises BadMasterKey if it
    is damaged or others may read it.
    """
    if not file.exists():
        descriptor, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
        with os.fdopen(descriptor, "w") as new:
            new.write(base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode() + "\n")
            new.flush()
            # What is sealed under a key that a power cut takes is lost for good.
            os.fsync(new.fileno())
        try:
            # A link, unlike a rename, never replaces what another process made meanwhile.
            os.link(draft, file)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
        _sync_folder(file.parent)
    return _read(file)


def _read(file: Path) -> MasterKey:
    if file.stat().st_mode & 0o077:
        raise BadMasterKey(f"others may read {file}: chmod 600 it, and consider who has")
    return parse_master_key(file.read_text())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
