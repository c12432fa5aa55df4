"""Status: why a VPS is in the state that it is in, as a stable word beside the prose, and the way out of an error."""

from typing import Literal

from domain.compute.capacity import NoCapacity
from domain.compute.events import OffReason
from domain.compute.steps import Stage, stage_of
from domain.compute.vps import Vps

Failure = Literal["no_capacity", "host_failed", "guest_unreachable", "host_key_changed"]
StatusReason = Literal[
    "scheduling",
    "booting",
    "restarting",
    "restoring",
    "requested",
    "unpaid",
    "token_limit",
    "account_frozen",
    "token_expired",
    "guest_off",
    "guest_lost",
    "host_lost",
    "ttl",
    "no_capacity",
    "host_failed",
    "guest_unreachable",
    "host_key_changed",
]
"""``scheduling``: its host makes it ready; ``guest_off``: it went off by itself; ``guest_lost``: another start of it
was found in its place; ``host_lost``: its host gives no answer; ``ttl``: it is deleted soon, at ``expires_at``."""

HOST_KEY_CHANGED = "the guest has another host key"
"""What is told, and recorded, of a guest that does not show the SSH host key that it was made with."""

WAYS_OUT: dict[Failure, str] = {
    "no_capacity": "start it to try again later, or delete it",
    "host_failed": "its disk is kept: start it to try again, or delete it",
    "guest_unreachable": "start it to try again, restore a snapshot from before, or delete it",
    "host_key_changed": "restore a snapshot from before its SSH host key was changed, or delete it",
}
"""What the owner of a VPS in error can do."""

_BOOTING_STEPS = frozenset({"login", "reboot"})
_ON_THE_WAY: dict[Stage, StatusReason] = {
    "unplaced": "scheduling",
    "placed": "scheduling",
    "prepared": "scheduling",
    "launched": "booting",
    "restarting": "restarting",
    "restoring": "restoring",
}
_OFF: dict[OffReason, StatusReason] = {
    "requested": "requested",
    "unpaid": "unpaid",
    "limit": "token_limit",
    "frozen": "account_frozen",
    "expired": "token_expired",
    "guest": "guest_off",
    "lost": "guest_lost",
    "failed": "host_failed",
}


def status_reason(vps: Vps) -> StatusReason | None:
    """Return why a VPS is as it is; None where it runs and nothing is to be said."""
    if vps.host_lost_at is not None:
        return "host_lost"
    if vps.state == "error" and not vps.wanted_on and vps.restoring is None:
        return failure_of(vps)
    stage = stage_of(vps)
    if stage in _ON_THE_WAY:
        return _ON_THE_WAY[stage]
    off_reason = vps.off_reason if vps.power == "off" else vps.stop_reason
    if not vps.wanted_on and off_reason is not None:
        return _OFF[off_reason]
    return "ttl" if vps.expiry_warned else None


def failure_of(vps: Vps) -> Failure:
    """Return why a VPS is in error."""
    if vps.error == HOST_KEY_CHANGED:
        return "host_key_changed"
    if vps.error == NoCapacity.sentence:
        return "no_capacity"
    return "guest_unreachable" if vps.failed_step in _BOOTING_STEPS else "host_failed"


def told_error(vps: Vps) -> str | None:
    """Return what its owner is told of a VPS in error: the cause, and the way out."""
    return None if vps.error is None else f"{vps.error}; {WAYS_OUT[failure_of(vps)]}"
