"""Signatures of Stripe's webhooks, checked on the bytes as they came."""

import hashlib
import hmac
from collections.abc import Sequence

from domain.payments.ports import BadSignature
from domain.time import MICROSECONDS_PER_SECOND, Instant

TOLERANCE_S = 300
"""How old a webhook may be; as far in the future, since clocks differ either way."""
_SCHEME = "v1"
_PARTS_MAX = 32


def check_signature(raw: bytes, header: str, secrets: Sequence[str], now: Instant) -> None:
    """Raise BadSignature unless a header such as ``t=1764000000,v1=5257a8…`` signs these bytes with one of the secrets.

    https://docs.stripe.com/webhooks#verify-manually
    """
    timestamp, signatures = _parts(header)
    # Made once a secret, since anybody may send as many signatures of a large body as fit into the header.
    expected = [_signature(raw, timestamp, secret) for secret in secrets]
    if not any(_matches(one, signature) for one in expected for signature in signatures):
        raise BadSignature("not signed by Stripe")
    # Looked at last: before, it is anybody's word.
    if abs(now // MICROSECONDS_PER_SECOND - int(timestamp)) > TOLERANCE_S:
        raise BadSignature("signed too long ago")


def _parts(header: str) -> tuple[str, list[str]]:
    pairs = [part.strip().partition("=") for part in header.split(",")[:_PARTS_MAX]]
    timestamps = [value for name, _, value in pairs if name == "t"]
    if len(timestamps) != 1 or not (timestamps[0].isascii() and timestamps[0].isdigit()) or len(timestamps[0]) > 15:
        raise BadSignature("no signature that can be read")
    return timestamps[0], [value for name, _, value in pairs if name == _SCHEME]


def _signature(raw: bytes, timestamp: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + raw, hashlib.sha256).hexdigest().encode()


def _matches(expected: bytes, signature: str) -> bool:
    return hmac.compare_digest(expected, signature.encode())
