"""OpenSSH public keys: which are taken, and their fingerprints.

One line as in ``authorized_keys`` without options: type, base64, comment (sshd(8), RFC 4253 §6.6,
RFC 5656 §3.1, RFC 8709 §4, and PROTOCOL.u2f of OpenSSH for the ``sk-`` types).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

import msgspec

from domain.errors import Refusal

TEXT_CHARACTERS_MAX = 8192
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 16384

_LINE = re.compile(r"(?P<kind>[a-z0-9@.-]+) +(?P<body>[A-Za-z0-9+/]+={0,2})(?: +(?P<comment>.*))?")
_UNCOMPRESSED_POINT = 4


class NotAPublicKey(Refusal):
    """The text is no OpenSSH public key of a type that guests accept."""

    code = "invalid_public_key"
    sentence = "not an OpenSSH public key"


class PublicKey(msgspec.Struct, frozen=True):
    """A public key in one line, and what ``ssh-keygen -l`` tells of it."""

    kind: str
    line: str
    """Type, key and comment, each parted by one space."""
    fingerprint: str


def parse_public_key(text: str) -> PublicKey:
    """Read an OpenSSH public key. Raises NotAPublicKey, saying why."""
    line = text.strip(" \t\r\n")
    if len(line) > TEXT_CHARACTERS_MAX:
        raise _not_a_key(f"is longer than {TEXT_CHARACTERS_MAX} characters")
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise _not_a_key("must be one line: type, base64, comment")
    kind = parts["kind"]
    if kind not in _BODIES:
        raise _not_a_key("must be of one of the types " + ", ".join(_BODIES))
    comment = (parts["comment"] or "").strip()
    if not comment.isprintable():
        raise _not_a_key("has a comment with control characters")
    blob = _decoded(parts["body"])
    _check_blob(kind, blob)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(
        kind=kind, line=" ".join(filter(None, (kind, parts["body"], comment))), fingerprint=f"SHA256:{digest}"
    )


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise _not_a_key("has a key that is not base64") from None


def _check_blob(kind: str, blob: bytes) -> None:
    fields = _strings(blob)
    if not fields or fields[0] != kind.encode():
        raise _not_a_key("has a key of another type than it says")
    if not _BODIES[kind](fields[1:]):
        raise _not_a_key("has a key that is damaged, or too short to be safe")


def _strings(blob: bytes) -> list[bytes]:
    strings = []
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        at += 4 + size
        if at > len(blob):
            raise _not_a_key("has a key that is cut short")
        strings.append(blob[at - size : at])
    return strings


def _is_ed25519(fields: list[bytes]) -> bool:
    return len(fields) == 1 and len(fields[0]) == 32


def _is_sk_ed25519(fields: list[bytes]) -> bool:
    return len(fields) == 2 and len(fields[0]) == 32 and bool(fields[1])


def _is_rsa(fields: list[bytes]) -> bool:
    if len(fields) != 2 or len(fields[0]) > 8 or len(fields[1]) > RSA_BITS_MAX // 8 + 1:
        return False
    exponent, modulus = (int.from_bytes(field, "big", signed=True) for field in fields)
    return (
        exponent >= 3
        and exponent % 2 == 1
        and modulus % 2 == 1
        and RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX
        and modulus > 0
    )


def _is_ecdsa(curve: bytes, coordinate_bytes: int) -> Callable[[list[bytes]], bool]:
    def is_point(fields: list[bytes]) -> bool:
        return (
            len(fields) == 2
            and fields[0] == curve
            and len(fields[1]) == 1 + 2 * coordinate_bytes
            and fields[1][0] == _UNCOMPRESSED_POINT
        )

    return is_point


def _is_sk_ecdsa(fields: list[bytes]) -> bool:
    return len(fields) == 3 and _is_ecdsa(b"nistp256", 32)(fields[:2]) and bool(fields[2])


_BODIES: dict[str, Callable[[list[bytes]], bool]] = {
    "ssh-ed25519": _is_ed25519,
    "ssh-rsa": _is_rsa,
    "ecdsa-sha2-nistp256": _is_ecdsa(b"nistp256", 32),
    "ecdsa-sha2-nistp384": _is_ecdsa(b"nistp384", 48),
    "ecdsa-sha2-nistp521": _is_ecdsa(b"nistp521", 66),
    "sk-ssh-ed25519@openssh.com": _is_sk_ed25519,
    "sk-ecdsa-sha2-nistp256@openssh.com": _is_sk_ecdsa,
}


def _not_a_key(why: str) -> NotAPublicKey:
    return NotAPublicKey(fields={"public_key": why})
