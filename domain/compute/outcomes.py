"""Outcomes: what came of a step, recorded of the VPS and of its meter in one decision.

Each looks at the present state first: what came too late, since something else is wanted by now or the
same was recorded before, has nothing recorded.
"""

import msgspec

from domain.compute import host as hosts
from domain.compute import steps
from domain.compute.admission import both
from domain.compute.events import HostDiffered, OffReason, VpsStopped
from domain.compute.host import Host
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import HostId, VpsId, host_stream, vps_stream
from domain.ports import Claim
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.funds import end_boot, release, start_meter
from domain.wallet.metering import close_meter
from domain.wallet.wallet import Wallet

PORT_SCOPE = "ssh-port"


def port_claim(vps_id: VpsId, host_id: HostId, port: int) -> Claim:
    """Return the claim that makes a port on a host one VPS's own."""
    return Claim(scope=PORT_SCOPE, key=_port_key(host_id, port), holder=vps_id)


def placed(vps: Vps | None, step: Step, host: Host, port: int, now: Instant) -> Decision:
    """Decide that a VPS is to be on this host and port. Appending raises ClaimTaken where the port is not free."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    events = steps.placed(host.host_id, host.ssh_host, port, now)
    recorded = recorded_in(vps_stream(vps.vps_id), *events)
    return msgspec.structs.replace(recorded, claims=(port_claim(vps.vps_id, host.host_id, port),))


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


def failed(
    vps: Vps | None, wallet: Wallet, step: Step, error: str, now: Instant, *, by_guest: bool = False
) -> Decision:
    """Decide that a step came to nothing: the VPS is in error, is put off, and costs nothing.

    ``by_guest``: whether the guest was on and let it fail; the host's own faults are not counted.
    """
    if vps is None or next_step(vps) != step:
        return NOTHING
    released = release(wallet, vps.vps_id, now, "error")
    if by_guest:
        began_at = now if vps.boots_since is None else vps.boots_since
        released = (*end_boot(wallet, vps.vps_id, vps.generation, began_at, now, "failed"), *released)
    return both(vps.account_id, vps.vps_id, released, steps.failed(vps, step, error, now))


def went_off(
    vps: Vps | None, wallet: Wallet, host: Host | None, book: PriceBook, step: Step, off_at: Instant
) -> Decision:
    """Decide that a VPS that was to be off is: its meter is closed."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), off_at, book)
    return both(vps.account_id, vps.vps_id, closed, steps.stopped(vps, off_at))


def removed(
    vps: Vps | None, wallet: Wallet, host: Host | None, book: PriceBook, step: Step, off_at: Instant
) -> Decision:
    """Decide that nothing is left of a VPS: its meter is closed, its port free."""
    if vps is None or next_step(vps) != step:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), off_at, book)
    decision = both(vps.account_id, vps.vps_id, closed, steps.deleted(off_at))
    if vps.host_id is None or vps.ssh_port is None:
        return decision
    port = (PORT_SCOPE, _port_key(vps.host_id, vps.ssh_port))
    return msgspec.structs.replace(decision, releases=(port,))


def found_off(
    vps: Vps | None,
    wallet: Wallet,
    host: Host,
    book: PriceBook,
    differed: HostDiffered,
    reason: OffReason,
) -> Decision:
    """Decide that a VPS that should run does not: it is stopped, and costs nothing since its last proof."""
    collected_at = differed.collected_at
    if vps is None or not vps.usable or collected_at <= vps.changed_at:
        return NOTHING
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), collected_at, book)
    stopped = VpsStopped(reason=reason, generation=vps.generation, off_at=collected_at)
    decision = both(vps.account_id, vps.vps_id, closed, (stopped,))
    noted = (host_stream(host.host_id), differed)
    return msgspec.structs.replace(decision, events=(noted, *decision.events))


def _port_key(host_id: HostId, port: int) -> bytes:
    return f"{host_id}:{port}".encode()
