"""The SSH host key of a guest: derived, so that every try to make a guest gives it the same one."""

from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from domain.ports import Sealer

_SCOPE = "guest-host-key"


def host_key(sealer: Sealer, vps_id: UUID) -> tuple[str, str]:
    """Return the private and the public half of a VPS's SSH host key, as OpenSSH writes them.

    It follows from the master key and the id, so the private half is kept nowhere but in the guest.
    """
    key = Ed25519PrivateKey.from_private_bytes(sealer.keyed_hash(_SCOPE, str(vps_id)))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.decode(), public.decode()
