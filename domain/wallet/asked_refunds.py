"""Refunds that a customer asked for: each costs the house what Stripe kept of the payment, so they are counted."""

import msgspec

from domain.errors import Refusal
from domain.time import HOUR, Instant, seconds
from domain.wallet.events import RefundsAsked

COUNTED_FOR = 30 * 24 * HOUR


class TooManyRefunds(Refusal):
    """Money was asked back as often within 30 days as it may be; closing the account still brings all of it."""

    code = "too_many_refunds"
    sentence = "too many refunds within 30 days"


class AskedRefunds(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Refunds that were asked for together, and have not failed."""

    at: Instant
    keys: tuple[str, ...]


def with_asked(asked: tuple[AskedRefunds, ...], event: RefundsAsked) -> tuple[AskedRefunds, ...]:
    """Return those of the last 30 days with these."""
    kept = (one for one in asked if one.at > event.at - COUNTED_FOR)
    return (*kept, AskedRefunds(event.at, event.keys))


def without_failed(asked: tuple[AskedRefunds, ...], key: str) -> tuple[AskedRefunds, ...]:
    """Return them without a refund that failed: what comes to nothing costs nothing."""
    left = (AskedRefunds(one.at, tuple(known for known in one.keys if known != key)) for one in asked)
    return tuple(one for one in left if one.keys)


def check_refunds(asked: tuple[AskedRefunds, ...], refunds_max: int, now: Instant) -> None:
    """Raise TooManyRefunds where so many were asked for within the 30 days before."""
    counted = sorted(one.at for one in asked if one.at > now - COUNTED_FOR)
    if len(counted) < refunds_max:
        return
    wait = counted[len(counted) - refunds_max] + COUNTED_FOR - now
    raise TooManyRefunds(refunds_max=refunds_max, retry_after_seconds=-(-wait // seconds(1)))
