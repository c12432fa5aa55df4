"""Time to live: how many minutes a VPS may be given, and when it is over by that."""

from domain.compute.events import VpsExpirySet
from domain.time import MINUTE, Instant

TTL_MINUTES_MAX = 10 * 366 * 24 * 60
"""Ten years."""


def wrong_ttl(ttl_minutes: int) -> str | None:
    """Return why a VPS cannot live for so many minutes, None where it can."""
    return None if 1 <= ttl_minutes <= TTL_MINUTES_MAX else f"must be from 1 to {TTL_MINUTES_MAX}"


def expires_in(ttl_minutes: int, now: Instant) -> VpsExpirySet:
    """Return that a VPS is deleted so many minutes from now."""
    return VpsExpirySet(expires_at=Instant(now + ttl_minutes * MINUTE), at=now)
