"""Master keys: 32 bytes each outside the database, under which every other secret of ours is kept."""

import base64
import binascii
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_KEY_BYTES = 32
MASTER_KEY_ID_BYTES = 8
_NAMESPACE = b"litevps/v1/"


class BadMasterKey(Exception):
    """The master key is not 32 bytes in base64, or others may read its file."""


class MasterKey:
    """The master key; it is never shown, and only what is derived from it is ever used."""

    def __init__(self, key: bytes) -> None:
        if len(key) != MASTER_KEY_BYTES:
            raise BadMasterKey(f"the master key must be {MASTER_KEY_BYTES} bytes, not {len(key)}")
        self._key = key
        self.id = self.derive("key id")[:MASTER_KEY_ID_BYTES]
        """Tells one from another, and nothing of the key."""

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


class KeyRing:
    """The master keys that a process knows: more than one while one follows another."""

    def __init__(self, master_keys: Sequence[MasterKey], read: Callable[[], Sequence[MasterKey]] | None = None) -> None:
        """``read``: reads them anew, where they can change while the process runs."""
        assert master_keys, "without any there is nothing to read"
        self._keys = {master_key.id: master_key for master_key in master_keys}
        self._read = read

    @property
    def first(self) -> MasterKey:
        """The one that was told first."""
        return next(iter(self._keys.values()))

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._keys.values())

    def find(self, master_key_id: bytes) -> MasterKey | None:
        """Return the master key of an id."""
        return self._keys.get(master_key_id)

    def read_again(self) -> bool:
        """Read them anew; return whether they are others than before. Raises BadMasterKey."""
        if self._read is None:
            return False
        before = self._keys.keys()
        self._keys = {master_key.id: master_key for master_key in self._read()}
        return self._keys.keys() != before


def parse_master_keys(text: str) -> tuple[MasterKey, ...]:
    """Read master keys parted by commas or lines, one at least; raises BadMasterKey."""
    parts = text.replace(",", "\n").split("\n")
    return tuple(parse_master_key(part) for part in parts if part.strip()) or (parse_master_key(text),)


def read_or_make_ring(file: Path) -> KeyRing:
    """Return the master keys of a file, one a line, made at the first start; they are read anew when they change.

    Raises BadMasterKey.
    """
    read_or_make_master_key(file)
    return ring_of(file)


def ring_of(file: Path, *, private: bool = True) -> KeyRing:
    """Return the master keys of a file that is there, one a line; raises BadMasterKey.

    ``private``: whether it is refused where others may read it, as is usual for files that containers are given.
    """
    return KeyRing(_read(file, private=private), lambda: _read(file, private=private))


def add_master_key(file: Path) -> MasterKey:
    """Make another master key, and add it to a file; a crash leaves the file as it was or as it is to be."""
    made = secrets.token_bytes(MASTER_KEY_BYTES)
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    _write(file, [*lines, base64.b64encode(made).decode()])
    return MasterKey(made)


def remove_master_key(file: Path, master_key_id: bytes) -> None:
    """Take a master key out of a file for good."""
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    _write(file, [line for line in lines if parse_master_key(line).id != master_key_id])


def read_or_make_master_key(file: Path) -> MasterKey:
    """Read the first master key from a file, which is made at the first start with mode 0600.

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
    return _read(file)[0]


def _write(file: Path, lines: Sequence[str]) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w") as new:
            # Whoever could read it still can: the service may be another user than whoever rotates keys.
            before = file.stat()
            os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            new.write("".join(f"{line}\n" for line in lines))
            new.flush()
            os.fsync(new.fileno())
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _read(file: Path, *, private: bool = True) -> tuple[MasterKey, ...]:
    try:
        if private and file.stat().st_mode & 0o077:
            raise BadMasterKey(f"others may read {file}: chmod 600 it, and consider who has")
        return parse_master_keys(file.read_text())
    except OSError as problem:
        raise BadMasterKey(f"the master key cannot be read: {problem}") from problem


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
