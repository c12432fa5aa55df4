"""Outcomes: what came of a step, recorded of the VPS and of its meter in one decision.

Each looks at the present state first: what came too late, since something else is wanted by now or the
same was recorded before, has nothing recorded.
"""

from collections.abc import Iterable

import msgspec

from domain.compute import capacity, steps
from domain.compute import host as hosts
from domain.compute.admission import both
from domain.compute.capacity import Reservations, Room
from domain.compute.events import CapacityReserved, HostDiffered, OffReason, VpsFailed, VpsStopped
from domain.compute.host import Host
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import HostId, capacity_stream, host_stream, vps_stream
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.funds import end_boot, release, start_meter
from domain.wallet.metering import close_meter
from domain.wallet.wallet import Wallet

PORT_SCOPE = "ssh-port"
"""Of claims by which VPSs had their ports before hosts had reservations."""


def placed(vps: Vps | None, step: Step, rooms: Iterable[Room], now: Instant) -> Decision:
    """Decide on which host a VPS is to be that was asked for before hosts had reservations. Raises NoCapacity."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    place = capacity.reserve(rooms, vps, vps.generation)
    events = steps.placed(place.host.host_id, place.host.ssh_host, place.ssh_port, now)
    reserved = (capacity_stream(place.host.host_id), place.event)
    return Decision(events=(reserved, *recorded_in(vps_stream(vps.vps_id), *events).events))


def prepared(vps: Vps | None, step: Step, host_key_public: str, now: Instant) -> Decision:
    """Decide that disk and seed of a VPS are on its host."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    return recorded_in(vps_stream(vps.vps_id), *steps.prepared(host_key_public, now))


def launched(vps: Vps | None, step: Step, start_id: str, now: Instant) -> Decision:
    """Decide that the host has started the guest."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    return recorded_in(vps_stream(vps.vps_id), *steps.launched(vps, start_id, now))


def came_up(vps: Vps | None, wallet: Wallet, step: Step, at: Instant, *, waited: int = 0) -> Decision:
    """Decide that the service has logged in, at ``at``: from there on the VPS runs, and its minutes count.

    ``waited``: for how long a login was tried, in microseconds; what was the service's own delay is not the guest's.
    """
    if vps is None or next_step(vps) != step:
        return NOTHING
    metering = start_meter(wallet, vps.vps_id, vps.generation, at, host_id=vps.host_id, start_id=vps.start_id)
    slow = end_boot(wallet, vps.vps_id, vps.generation, Instant(at - waited), at, "slow")
    return both(vps.account_id, vps.vps_id, (*slow, *metering), steps.running(vps, at))


def restarted(vps: Vps | None, step: Step, now: Instant) -> Decision:
    """Decide that the service has logged in after a restart."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    return recorded_in(vps_stream(vps.vps_id), *steps.restarted(vps, now))


def filtered(vps: Vps | None, step: Step, revision: int, now: Instant) -> Decision:
    """Decide that the host has the policy in force that was the ``revision``-th; a later one is still to be applied."""
    if vps is None or next_step(vps) != step or revision <= vps.egress_applied:
        return NOTHING
    return recorded_in(vps_stream(vps.vps_id), *steps.filtered(vps, revision, now))


def failed(
    vps: Vps | None, wallet: Wallet, step: Step, error: str, now: Instant, *, by_guest: bool = False
) -> Decision:
    """Decide that a step came to nothing: the VPS is in error, is put off, and costs nothing.

    ``by_guest``: whether the guest was on and let it fail; the host's own faults are not counted.
    """
    if vps is None or next_step(vps) != step:
        return NOTHING
    if step.row.failure is not VpsFailed:
        return recorded_in(vps_stream(vps.vps_id), *steps.failed(vps, step, error, now))
    released = release(wallet, vps.vps_id, now, "error")
    if by_guest:
        began_at = now if vps.boots_since is None else vps.boots_since
        released = (*end_boot(wallet, vps.vps_id, vps.generation, began_at, now, "failed"), *released)
    return both(vps.account_id, vps.vps_id, released, steps.failed(vps, step, error, now))


def went_off(
    vps: Vps | None,
    wallet: Wallet,
    host: Host | None,
    reserved: Reservations,
    book: PriceBook,
    step: Step,
    off_at: Instant,
) -> Decision:
    """Decide that a VPS that was to be off is: its meter is closed, what it held of its host but its disk is free."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), off_at, book)
    decision = both(vps.account_id, vps.vps_id, closed, steps.stopped(vps, off_at))
    return _with_release(decision, vps, reserved, removed=False)


def removed(
    vps: Vps | None,
    wallet: Wallet,
    host: Host | None,
    reserved: Reservations,
    book: PriceBook,
    step: Step,
    off_at: Instant,
) -> Decision:
    """Decide that nothing is left of a VPS: its meter is closed, all that it held of its host is free."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), off_at, book)
    decision = both(vps.account_id, vps.vps_id, closed, steps.deleted(off_at))
    if vps.host_id is None or vps.ssh_port is None:
        return decision
    decision = _with_release(decision, vps, reserved, removed=True)
    claimed = (PORT_SCOPE, f"{vps.host_id}:{vps.ssh_port}".encode())
    return msgspec.structs.replace(decision, releases=(claimed,))


def found_off(
    vps: Vps | None,
    wallet: Wallet,
    host: Host,
    reserved: Reservations,
    book: PriceBook,
    differed: HostDiffered,
    reason: OffReason,
    *,
    shown_off: bool,
) -> Decision:
    """Decide that a VPS that should run does not: it is stopped, and costs nothing since its last proof.

    ``shown_off``: whether the host shows it, and off. What is only absent, halted or another start may still have
    memory of the host: it is released once the host has shown it off, see ``released_late``.
    """
    collected_at = differed.collected_at
    if vps is None or not vps.usable or collected_at <= vps.changed_at:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), collected_at, book)
    stopped = VpsStopped(reason=reason, generation=vps.generation, off_at=collected_at)
    decision = both(vps.account_id, vps.vps_id, closed, (stopped,))
    if shown_off:
        decision = _with_release(decision, vps, reserved, removed=False)
    noted = (host_stream(host.host_id), differed)
    return msgspec.structs.replace(decision, events=(noted, *decision.events))


def released_late(vps: Vps | None, host_id: HostId, reserved: Reservations, collected_at: Instant) -> Decision:
    """Decide that a host has long shown off, or removed, what it holds something for by its reservations."""
    if vps is None or not (vps.power == "off" and not vps.wanted_on) or collected_at <= vps.changed_at:
        return NOTHING
    return recorded_in(capacity_stream(host_id), *capacity.release(reserved, host_id, vps.vps_id, removed=vps.deleted))


def adopted(vps: Vps | None, host_id: HostId, reserved: Reservations) -> Decision:
    """Decide that a VPS that was placed before its host had reservations holds what it has."""
    if vps is None or vps.deleted or vps.host_id != host_id or vps.vps_id in reserved.by_vps:
        return NOTHING
    on = vps.wanted_on or vps.power != "off"
    held = CapacityReserved(
        host_id=host_id,
        vps_id=vps.vps_id,
        generation=vps.generation,
        vcpu=vps.vcpu if on else 0,
        memory_mb=vps.memory_mb if on else 0,
        disk_gb=vps.kept_disk_gb,
        ssh_port=vps.ssh_port if on else None,
    )
    return recorded_in(capacity_stream(host_id), held)


def _with_release(decision: Decision, vps: Vps, reserved: Reservations, *, removed: bool) -> Decision:
    if vps.host_id is None:
        return decision
    released = capacity.release(reserved, vps.host_id, vps.vps_id, removed=removed)
    events = tuple((capacity_stream(vps.host_id), event) for event in released)
    return msgspec.structs.replace(decision, events=(*events, *decision.events))
