"""A compute host: what it is, what it showed, and what that proves of its guests."""

from typing import Literal

import msgspec

from domain.compute import events as recorded
from domain.compute.ports import GuestSeen, HostObservation
from domain.compute.steps import next_step
from domain.compute.vps import Vps
from domain.deciding import Fold
from domain.events import Event
from domain.ids import HostId, VpsId
from domain.time import HOUR, Instant

PROOF_KEPT = 30 * 24 * HOUR
"""How long the last proof of a guest is kept that is shown no more."""


class Proof(msgspec.Struct, frozen=True, array_like=True):
    """One start of a guest was on without a break up to ``until``, by what its host showed."""

    generation: int
    start_id: str
    cpu_ns: int
    until: Instant


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that its events tell of a host. Nothing in it is personal."""

    host_id: HostId
    name: str
    ssh_host: str
    port_from: int
    port_to: int
    memory_mb: int | None
    observed_at: Instant | None = None
    boot_id: str = ""
    proofs: dict[VpsId, Proof] = {}
    """Of each guest, the last start that was seen on."""


HostState = Host | None


def evolve(host: HostState, event: Event) -> HostState:
    """Return the host after an event of its stream."""
    match event:
        case recorded.HostRegistered():
            return Host(
                host_id=event.host_id,
                name=event.name,
                ssh_host=event.ssh_host,
                port_from=event.port_from,
                port_to=event.port_to,
                memory_mb=event.memory_mb,
                observed_at=host.observed_at if host else None,
                boot_id=host.boot_id if host else "",
                proofs=host.proofs if host else {},
            )
        case recorded.HostObserved() if host is not None:
            return _observed(host, event)
        case _:
            return host


FOLD: Fold[HostState] = Fold(initial=None, evolve=evolve)


def proven_until(host: HostState, vps_id: VpsId, generation: int, since: Instant) -> Instant:
    """Return up to when this start of a VPS is proven to have run, ``since`` (its first login) at least.

    Two observations of one start on one boot of the host, CPU time not lower, prove the time between.
    """
    proof = host.proofs.get(vps_id) if host is not None else None
    if proof is None or proof.generation != generation:
        return since
    return max(since, proof.until)


def register(host: HostState, wanted: recorded.HostRegistered) -> tuple[Event, ...]:
    """Return what is recorded of a host that can take VPSs; nothing where all of it is known."""
    if host is not None and all(
        getattr(host, name) == getattr(wanted, name) for name in recorded.HostRegistered.__struct_fields__
    ):
        return ()
    return (wanted,)


def observe(host: Host, seen: HostObservation) -> tuple[Event, ...]:
    """Return what is recorded of an observation; nothing where nothing is on, or it is no news."""
    if host.observed_at is not None and seen.collected_at <= host.observed_at:
        return ()
    if not any(guest.running for guest in seen.guests):
        return ()
    return (
        recorded.HostObserved(
            host_id=host.host_id,
            boot_id=seen.boot_id,
            collected_at=seen.collected_at,
            guests=tuple(guest for guest in seen.guests if guest.running),
        ),
    )


Finding = Literal["agrees", "off", "lost", "unwanted", "orphan"]
"""``off``: it should run and is off; ``lost``: another start of it runs; ``unwanted``: it runs and should
not; ``orphan``: no VPS of ours, or one that was deleted."""


def compare(vps: Vps | None, guest: GuestSeen | None, collected_at: Instant) -> Finding:
    """Return how a host and the ledger differ about one VPS, by an observation of the host it is on.

    What a worker is busy with agrees, and so does all that was observed before something was last done.
    """
    if vps is None or vps.deleted:
        return "orphan"
    if collected_at <= vps.changed_at:
        return "agrees"
    if vps.usable:
        if guest is None or not guest.running:
            return "off"
        same = (guest.generation, guest.start_id) == (vps.generation, vps.start_id)
        return "agrees" if same else "lost"
    on = guest is not None and guest.running
    return "unwanted" if on and next_step(vps) is None else "agrees"


def _observed(host: Host, event: recorded.HostObserved) -> Host:
    oldest = event.collected_at - PROOF_KEPT
    proofs = {vps_id: proof for vps_id, proof in host.proofs.items() if proof.until >= oldest}
    for guest in event.guests:
        if guest.running:
            proofs[guest.vps_id] = _proof(proofs.get(guest.vps_id), guest, event.collected_at)
    return msgspec.structs.replace(host, observed_at=event.collected_at, boot_id=event.boot_id, proofs=proofs)


def _proof(known: Proof | None, guest: GuestSeen, collected_at: Instant) -> Proof:
    seen = Proof(guest.generation, guest.start_id, guest.cpu_ns, collected_at)
    if known is None or guest.generation > known.generation:
        return seen
    unbroken = (known.generation, known.start_id) == (guest.generation, guest.start_id)
    # Another start under the same generation, or CPU time that fell: it was off in between, so that what
    # came after the break proves nothing any more.
    return seen if unbroken and guest.cpu_ns >= known.cpu_ns else known
