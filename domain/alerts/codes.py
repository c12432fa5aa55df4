"""Codes that are mailed to verify an address: which verification one belongs to, and the secret that proves it."""

import base64
import binascii
import hashlib
from uuid import UUID

SECRET_BYTES = 16
CODE_SCOPE = "email-verification"
"""Of the keyed hash that a secret is made by, and of the claim by which a verification is found."""


def code_of(verification_id: UUID, keyed_hash: bytes) -> str:
    """Return the code of a verification; ``keyed_hash``: of its id in ``CODE_SCOPE``, under the master key.

    So a code is stored nowhere, and a mail that has to be sent again says the same.
    """
    both = verification_id.bytes + keyed_hash[:SECRET_BYTES]
    return base64.b32encode(both).decode().rstrip("=").lower()


def verification_of(code: str) -> UUID | None:
    """Return which verification a code belongs to; None for what is no code of ours."""
    padded = code.strip().upper() + "=" * (-len(code.strip()) % 8)
    try:
        both = base64.b32decode(padded)
    except (binascii.Error, ValueError):
        return None
    return UUID(bytes=both[:16]) if len(both) == 16 + SECRET_BYTES else None


def digest_of(code: str) -> str:
    """Return the digest by which a code is known."""
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
