"""Codes that are mailed: how one is made and found again, and when one that is shown is right."""

import base64
import binascii
import hashlib
import hmac
from typing import Literal
from uuid import UUID

import msgspec

from domain.errors import Refusal
from domain.ports import Sealer
from domain.time import Instant

SECRET_BYTES = 16
CODE_SCOPE = "email-verification"
"""Of the keyed hash that a code is made by which verifies an address, and of the claim by which it is found."""
RESET_SCOPE = "password-reset"
"""The same, of a code for another password."""
TRIES_MAX = 5
"""Wrong codes in place of one that was mailed; then the right one is refused as well."""

CodeKind = Literal["verification", "verify-email", "password-reset"]
"""``verification``: of the address that alerts go to. The others go to the account's own address."""
OWN_CODES: tuple[CodeKind, ...] = ("verify-email", "password-reset")
SCOPES: dict[CodeKind, str] = {
    "verification": CODE_SCOPE,
    "verify-email": CODE_SCOPE,
    "password-reset": RESET_SCOPE,
}


class CodeRefused(Refusal):
    """The code is unknown, used, replaced, expired, or was guessed at too often; which of it is not told."""

    code = "code_refused"
    sentence = "code is wrong or has expired"


class MailedCode(msgspec.Struct, frozen=True):
    """A code that was mailed and not shown yet; a newer one of its kind takes its place."""

    id: UUID
    digest: str
    expires_at: Instant
    failures: int = 0


def is_right(mailed: MailedCode | None, code_id: UUID, digest: str, now: Instant) -> bool:
    """Tell whether a code is the one that was mailed last. Raises CodeRefused where none could be right any more."""
    # An older code is no guess at the newer one, and counts for none.
    if mailed is None or mailed.id != code_id:
        raise CodeRefused
    if now >= mailed.expires_at or mailed.failures >= TRIES_MAX:
        raise CodeRefused
    return hmac.compare_digest(mailed.digest, digest)


def code_under(sealer: Sealer, kind: CodeKind, code_id: UUID) -> str:
    """Return the code of an id.

    It is made from the master key, so it is stored nowhere, and a mail that has to be sent again says the same.
    """
    return code_of(code_id, sealer.keyed_hash(SCOPES[kind], str(code_id)))


def code_of(code_id: UUID, keyed_hash: bytes) -> str:
    """Return the code of an id and of its keyed hash."""
    both = code_id.bytes + keyed_hash[:SECRET_BYTES]
    return base64.b32encode(both).decode().rstrip("=").lower()


def id_in(code: str) -> UUID | None:
    """Return the id that a code belongs to; None for what is no code of ours."""
    padded = code.strip().upper() + "=" * (-len(code.strip()) % 8)
    try:
        both = base64.b32decode(padded)
    except (binascii.Error, ValueError):
        return None
    return UUID(bytes=both[:16]) if len(both) == 16 + SECRET_BYTES else None


def digest_of(code: str) -> str:
    """Return the digest by which a code is known."""
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
