"""Expiry: a VPS that is to live for so many minutes is deleted in time, and that is told before.

What is due follows from what is recorded and the present instant, whenever somebody looks: a service that was down
deletes late, and never early.
"""

from domain.compute.admission import delete_now
from domain.compute.events import VpsExpirySet, VpsExpiryWarned
from domain.compute.ttl import expires_in
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision
from domain.events import Event
from domain.ids import vps_stream
from domain.time import MINUTE, Instant
from domain.wallet.wallet import Wallet


def set_expiry(vps: Vps, ttl_minutes: int | None, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to be deleted so many minutes from now; None: not by itself."""
    if ttl_minutes is None:
        return () if vps.expires_at is None else (VpsExpirySet(expires_at=None, at=now),)
    return (expires_in(ttl_minutes, now),)


def expire_vps(vps: Vps | None, wallet: Wallet, now: Instant, warning_minutes: int) -> Decision:
    """Decide to tell that a VPS is deleted soon, or to delete it; nothing where neither is due.

    Of one that is met so late that both are due, both are recorded. It is charged as if its owner deleted it now.
    """
    if vps is None or vps.gone or vps.expires_at is None:
        return NOTHING
    warned: tuple[Event, ...] = ()
    if _is_warning_due(vps, vps.expires_at, now, warning_minutes):
        warned = (VpsExpiryWarned(expires_at=vps.expires_at, at=now),)
    deleted = delete_now(vps, wallet, now, "ttl") if now >= vps.expires_at else NOTHING
    told = tuple((vps_stream(vps.vps_id), event) for event in warned)
    return Decision(events=(*told, *deleted.events))


def _is_warning_due(vps: Vps, expires_at: Instant, now: Instant, warning_minutes: int) -> bool:
    return not vps.expiry_warned and now >= expires_at - warning_minutes * MINUTE
