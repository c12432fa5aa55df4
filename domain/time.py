"""Time: instants as whole microseconds since 1970 in UTC, and how they are written down."""

from datetime import UTC, datetime, timedelta
from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z. Integers, so that what is hashed and compared is exact."""

MICROSECONDS_PER_SECOND = 1_000_000
MINUTE = 60 * MICROSECONDS_PER_SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds(count: float) -> int:
    """Return a span of ``count`` seconds in microseconds."""
    return round(count * MICROSECONDS_PER_SECOND)


def to_rfc3339(instant: Instant) -> str:
    """Write an instant as RFC 3339 in UTC with ``Z``, decimals only where there are any."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat().replace("+00:00", "Z")


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime."""
    assert moment.tzinfo is not None, "an instant needs a time zone"
    return Instant((moment - _EPOCH) // timedelta(microseconds=1))


def to_datetime(instant: Instant) -> datetime:
    """Return the aware UTC datetime of an instant."""
    return _EPOCH + timedelta(microseconds=instant)
