"""What requests about SSH keys take and tell."""

from uuid import UUID

import msgspec

from api.http.rendering import Time
from domain.accounts.commands import AddSshKey
from domain.accounts.ssh_keys import SshKey
from domain.ids import SshKeyId
from domain.time import to_rfc3339

EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-000000000002",
    "name": "my-key",
    "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXAMPLEKEYEXA me@laptop",
    "fingerprint": "SHA256:k3JzHDxJ0gKkW6fP4Xh0mUcVdEKQCtJb1b2GdZk8m3I",
    "created_at": "2026-11-23T17:00:00Z",
}


class NewSshKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key to be kept."""

    name: str
    public_key: str

    def to_command(self, ssh_key_id: SshKeyId) -> AddSshKey:
        """Return the command that this asks for."""
        return AddSshKey(ssh_key_id, self.name, self.public_key)


class SshKeyResponse(msgspec.Struct, frozen=True):
    """A public key of the account."""

    id: UUID
    name: str
    public_key: str
    fingerprint: str
    created_at: Time

    @classmethod
    def of(cls, key: SshKey) -> "SshKeyResponse":
        """Return a key as it is told."""
        return cls(key.id, key.name, key.public_key, key.fingerprint, to_rfc3339(key.added_at))
