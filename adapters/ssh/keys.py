"""SSH keys: the service's own, kept in a file, and one for each guest, made before it is."""

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

KEY_FILE = "id_ed25519"
COMMENT = "litevps"


def new_host_key() -> tuple[str, str]:
    """Return a new ed25519 key as OpenSSH texts: the private half for the guest, the public one for us."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return private, _public_text(key)


def ensure_service_key(folder: Path) -> tuple[str, str]:
    """Return the service's own key (private, public), made at the first call; the file is for its owner only.

    Two processes that start at once come to the same key: the first complete file wins.
    """
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(prefix=f"{KEY_FILE}.", dir=folder)
        with os.fdopen(handle, "w") as written:
            written.write(new_host_key()[0])
        try:
            # A link, unlike a rename, never replaces what another process made meanwhile.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            Path(draft).unlink()
    private = path.read_text()
    key = load_ssh_private_key(private.encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey), f"{path} holds another kind of key"
    return private, _public_text(key)


def _public_text(key: Ed25519PrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{public} {COMMENT}"
