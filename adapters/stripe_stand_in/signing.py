"""A webhook as Stripe sends it: the event's bytes, and the header that vouches for them."""

import hashlib
import hmac
import json
import secrets

from adapters.stripe_stand_in.storage import Body


def fresh_secret() -> str:
    """Return a webhook secret that nobody else knows."""
    return f"whsec_{secrets.token_hex(24)}"


def signed(event: Body, secret: str, at: int) -> tuple[bytes, str]:
    """Return the raw body and its Stripe-Signature header, made at so many seconds.

    https://docs.stripe.com/webhooks#verify-manually: HMAC-SHA256 over the timestamp, a dot and the raw body.
    """
    raw = json.dumps(event, indent=2, ensure_ascii=False).encode()
    signature = hmac.new(secret.encode(), str(at).encode() + b"." + raw, hashlib.sha256).hexdigest()
    return raw, f"t={at},v1={signature}"
