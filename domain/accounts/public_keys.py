"""OpenSSH public keys: which are taken, and their fingerprints.

One line as in ``authorized_keys`` without options: type, base64, comment (sshd(8), RFC 4253 §6.6,
RFC 5656 §3.1, RFC 8709 §4, and PROTOCOL.u2f of OpenSSH for the ``sk-`` types).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable

import msgspec

from domain.errors import Refusal

TEXT_CHARACTERS_MAX = 8192
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 16384

_BYTE_ORDER_MARK = "\ufeff"
_UNCOMPRESSED_POINT = 4
_ELSEWHERE = {
    "ssh-dss": "is a DSA key, which OpenSSH takes no longer: make one with ssh-keygen -t ed25519",
    "PuTTY-User-Key-File-2:": "is a private key of PuTTY: copy the public key from PuTTYgen's window",
    "PuTTY-User-Key-File-3:": "is a private key of PuTTY: copy the public key from PuTTYgen's window",
}
"""What people paste instead, by its first word."""


class NotAPublicKey(Refusal):
    """The text is no OpenSSH public key of a type that guests accept."""

    code = "invalid_public_key"
    sentence = "not an OpenSSH public key"


class PublicKey(msgspec.Struct, frozen=True):
    """A public key in one line, and what ``ssh-keygen -l`` tells of it."""

    kind: str
    line: str
    """Type, key and comment, each parted by one space; the key is the base64 of exactly what was checked."""
    fingerprint: str


def parse_public_key(text: str) -> PublicKey:
    """Read an OpenSSH public key. Raises NotAPublicKey, saying why."""
    line = text.strip(" \t\r\n")
    if len(line) > TEXT_CHARACTERS_MAX:
        raise _not_a_key(f"is longer than {TEXT_CHARACTERS_MAX} characters")
    _refuse_what_is_no_line(line)
    line = line.replace("\t", " ")  # Tabs may part type, key and comment, as they may for sshd.
    kind, _, rest = line.partition(" ")
    body, _, comment = rest.strip(" ").partition(" ")
    _refuse_other_kinds(kind, line)
    comment = comment.strip(" ")
    if not comment.isprintable():
        raise _not_a_key("has a comment with control characters")
    blob = _decoded(body)
    _check_blob(kind, blob)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    parts = (kind, base64.b64encode(blob).decode(), comment)
    return PublicKey(kind=kind, line=" ".join(filter(None, parts)), fingerprint=f"SHA256:{digest}")


def _refuse_what_is_no_line(line: str) -> None:
    if not line:
        raise _not_a_key("is empty")
    if line.startswith(_BYTE_ORDER_MARK):
        raise _not_a_key("begins with a byte order mark (U+FEFF): remove it")
    if line.startswith("-----BEGIN "):
        if "PRIVATE KEY" in line[:64]:
            raise _not_a_key("is a private key: keep it to yourself, and send the file that ends in .pub")
        raise _not_a_key("is in PEM's format: ssh-keygen -i -m PKCS8 -f FILE converts it")
    if line.startswith("---- BEGIN SSH2 "):
        raise _not_a_key("is in SSH2's format: ssh-keygen -i -f FILE converts it")
    lines = line.splitlines()
    if len(lines) > 1:
        if sum(one.startswith(tuple(f"{kind} " for kind in _BODIES)) for one in lines) > 1:
            raise _not_a_key("has several keys: add them one by one")
        raise _not_a_key("is broken over several lines: join them to one")


def _refuse_other_kinds(kind: str, line: str) -> None:
    if kind in _BODIES:
        return
    if kind in _ELSEWHERE:
        raise _not_a_key(_ELSEWHERE[kind])
    if kind.endswith("-cert-v01@openssh.com"):
        raise _not_a_key("is a certificate: send the public key that it was made from")
    if (unusual := _unusual_space(line)) is not None:
        raise _not_a_key(f"has an unusual space (U+{ord(unusual):04X}): part type, key and comment by plain ones")
    if any(f" {known} " in line for known in _BODIES):
        raise _not_a_key("has options in front of its type: leave them out")
    raise _not_a_key("must begin with one of the types " + ", ".join(_BODIES))


def _unusual_space(text: str) -> str | None:
    return next((character for character in text if character.isspace() and character != " "), None)


def _decoded(body: str) -> bytes:
    if not body:
        raise _not_a_key("has no key behind its type")
    if not body.isascii():
        if (unusual := _unusual_space(body)) is not None:
            raise _not_a_key(f"has an unusual space (U+{ord(unusual):04X}): part type, key and comment by plain ones")
        raise _not_a_key("has a key that is not base64")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        raise _not_a_key("has a key that is not base64") from None


def _check_blob(kind: str, blob: bytes) -> None:
    fields = _strings(blob)
    if not fields or fields[0] != kind.encode():
        raise _not_a_key("has a key of another type than it says")
    if not _BODIES[kind](fields[1:]):
        raise _not_a_key("has a key that is damaged, or weaker than guests take")


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
    # One number has one form (RFC 4251 §5), or one key could be kept under several fingerprints.
    if any(_mpint(number) != field for number, field in zip((exponent, modulus), fields, strict=True)):
        return False
    return (
        exponent >= 3
        and exponent % 2 == 1
        and modulus % 2 == 1
        and RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX
        and modulus > 0
    )


def _mpint(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True) if number else b""


class _Curve(msgspec.Struct, frozen=True):
    """A curve y² = x³ − 3x + b over a prime field (FIPS 186-4 D.1.2)."""

    name: bytes
    p: int
    b: int

    def has(self, point: bytes) -> bool:
        """Return whether this is a point of the curve, uncompressed (SEC 1 §2.3.4)."""
        size = (self.p.bit_length() + 7) // 8
        if len(point) != 1 + 2 * size or point[0] != _UNCOMPRESSED_POINT:
            return False
        x, y = int.from_bytes(point[1 : 1 + size], "big"), int.from_bytes(point[1 + size :], "big")
        return max(x, y) < self.p and (y * y - x * x * x + 3 * x - self.b) % self.p == 0


_P256 = _Curve(
    b"nistp256",
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
)
_P384 = _Curve(
    b"nistp384",
    2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
)
_P521 = _Curve(
    b"nistp521",
    2**521 - 1,
    0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
)


def _is_ecdsa(curve: _Curve) -> Callable[[list[bytes]], bool]:
    def is_point(fields: list[bytes]) -> bool:
        return len(fields) == 2 and fields[0] == curve.name and curve.has(fields[1])

    return is_point


def _is_sk_ecdsa(fields: list[bytes]) -> bool:
    return len(fields) == 3 and _is_ecdsa(_P256)(fields[:2]) and bool(fields[2])


_BODIES: dict[str, Callable[[list[bytes]], bool]] = {
    "ssh-ed25519": _is_ed25519,
    "ssh-rsa": _is_rsa,
    "ecdsa-sha2-nistp256": _is_ecdsa(_P256),
    "ecdsa-sha2-nistp384": _is_ecdsa(_P384),
    "ecdsa-sha2-nistp521": _is_ecdsa(_P521),
    "sk-ssh-ed25519@openssh.com": _is_sk_ed25519,
    "sk-ecdsa-sha2-nistp256@openssh.com": _is_sk_ecdsa,
}


def _not_a_key(why: str) -> NotAPublicKey:
    return NotAPublicKey(fields={"public_key": why})
