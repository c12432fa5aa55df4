"""A compute host: what it is, what it showed, and what that proves of its guests."""

from typing import Literal
from uuid import UUID

import msgspec

from domain.compute import events as recorded
from domain.compute.labels import wrong_labels
from domain.compute.ports import GuestSeen, HostObservation
from domain.compute.steps import next_step
from domain.compute.vps import Vps
from domain.deciding import AggregateRef, Fold
from domain.errors import Invalid
from domain.events import Event
from domain.ids import HostId, VpsId, host_stream
from domain.time import HOUR, Instant
from domain.wallet.meter import Meter
from domain.wallet.proofs import Proof

PERCENT_MAX = 10_000
SHOWN_KEPT = 7 * 24 * HOUR
"""How long a start is remembered that is shown no more: its meter is closed long before."""


class Shown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One start of a guest was on at ``until``, and had used that much CPU time."""

    generation: int
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
    vcpu: int | None = None
    disk_gb: int | None = None
    cpu_percent: int | None = None
    disk_percent: int | None = None
    """How far beyond what it has may be promised; None: as the settings say."""
    observed_at: Instant | None = None
    boot_id: str = ""
    shown: dict[str, Shown] = {}
    """Each start of a guest that was seen on, by ``shown_key``."""
    left_alone: frozenset[UUID] = frozenset()
    """Guests that the ledger cannot explain, and of which that is recorded."""
    lost_since: Instant | None = None
    """Since when it gives no answer, of a host that is taken to be gone; None: it is not."""
    lost_at: Instant | None = None
    """When it was taken to be gone."""
    labels: dict[str, str] = {}


HostState = Host | None


def evolve(host: HostState, event: Event) -> HostState:
    """Return the host after an event of its stream."""
    match event:
        case recorded.HostRegistered():
            told = msgspec.structs.asdict(event)
            return Host(**told) if host is None else msgspec.structs.replace(host, **told)
        case recorded.HostOvercommitSet() if host is not None:
            return msgspec.structs.replace(host, cpu_percent=event.cpu_percent, disk_percent=event.disk_percent)
        case recorded.HostLabelled() if host is not None:
            return msgspec.structs.replace(host, labels=event.labels)
        case recorded.HostObserved() if host is not None:
            return _observed(host, event)
        case recorded.HostLost() if host is not None:
            return msgspec.structs.replace(host, lost_since=event.since, lost_at=event.at)
        case recorded.HostReturned() if host is not None:
            return msgspec.structs.replace(host, lost_since=None, lost_at=None)
        case recorded.HostRebooted() if host is not None:
            return msgspec.structs.replace(host, boot_id=event.boot_id)
        case recorded.HostDiffered(action="none") if host is not None:
            return msgspec.structs.replace(host, left_alone=host.left_alone | {event.vps_id})
        case _:
            return host


FOLD: Fold[HostState] = Fold(initial=None, evolve=evolve, snapshot=Host, snapshot_version=3)


def host_ref(host_id: HostId) -> AggregateRef[HostState]:
    """Return the reference of a compute host."""
    return AggregateRef(host_stream(host_id), FOLD)


def proof_of(vps: Vps, host: HostState) -> Proof | None:
    """Return until when the present start of a VPS is proven to have run; None before its first login.

    Two observations of one start on one boot of the host, CPU time not lower, prove the time between.
    """
    if vps.started_at is None or vps.power in ("unknown", "launched"):
        return None
    return _proof(vps.vps_id, vps.generation, vps.start_id, vps.started_at, host)


def proof_of_meter(meter: Meter, host: HostState) -> Proof | None:
    """Return what ``proof_of`` returns, by a meter that tells which start on which host it counts; else None."""
    if meter.run_from is None or meter.start_id is None:
        return None
    return _proof(meter.vps_id, meter.generation, meter.start_id, meter.run_from, host)


def _proof(vps_id: VpsId, generation: int, start_id: str, login_at: Instant, host: HostState) -> Proof:
    shown = host.shown.get(shown_key(vps_id, start_id)) if host is not None else None
    if shown is None or shown.generation != generation:
        return Proof(generation, start_id, cpu_ns=0, proven_until=login_at)
    return Proof(generation, start_id, cpu_ns=shown.cpu_ns, proven_until=max(login_at, shown.until))


def register(host: HostState, wanted: recorded.HostRegistered) -> tuple[Event, ...]:
    """Return what is recorded of a host that can take VPSs; nothing where all of it is known."""
    if host is not None and all(
        getattr(host, name) == getattr(wanted, name) for name in recorded.HostRegistered.__struct_fields__
    ):
        return ()
    return (wanted,)


def overcommit(host: Host, cpu_percent: int | None, disk_percent: int | None) -> tuple[Event, ...]:
    """Return what is recorded of how far a host may be promised over; nothing where it is so. Raises Invalid."""
    given = {"cpu_percent": cpu_percent, "disk_percent": disk_percent}
    wrong = {
        name: f"must be from 1 to {PERCENT_MAX}"
        for name, percent in given.items()
        if percent is not None and not 1 <= percent <= PERCENT_MAX
    }
    if wrong:
        raise Invalid(fields=wrong)
    if (cpu_percent, disk_percent) == (host.cpu_percent, host.disk_percent):
        return ()
    return (recorded.HostOvercommitSet(host.host_id, cpu_percent, disk_percent),)


def label(host: Host, labels: dict[str, str]) -> tuple[Event, ...]:
    """Return what is recorded of the labels that a host is to have; nothing where it has just these. Raises Invalid."""
    if (wrong := wrong_labels(labels)) is not None:
        raise Invalid(fields={"labels": wrong})
    return () if labels == host.labels else (recorded.HostLabelled(host.host_id, dict(sorted(labels.items()))),)


def observe(host: Host, seen: HostObservation) -> tuple[Event, ...]:
    """Return what is recorded of an observation; nothing where nothing is on, or it was recorded before.

    What is older than what is known tells of no return and of no boot, since it may have waited on its way.
    """
    if seen.collected_at == host.observed_at:
        return ()
    events: list[Event] = []
    if host.lost_at is not None and seen.collected_at > host.lost_at:
        events.append(recorded.HostReturned(host.host_id, seen.boot_id, seen.collected_at))
    newer = host.observed_at is not None and seen.collected_at > host.observed_at
    if newer and seen.boot_id != host.boot_id:
        events.append(recorded.HostRebooted(host.host_id, host.boot_id, seen.boot_id, seen.collected_at))
    if not any(guest.running for guest in seen.guests):
        return tuple(events)
    return (
        *events,
        recorded.HostObserved(
            host_id=host.host_id,
            boot_id=seen.boot_id,
            collected_at=seen.collected_at,
            guests=tuple(guest for guest in seen.guests if guest.running),
        ),
    )


def lose(host: Host, silent_since: Instant, now: Instant, lost_after: int) -> tuple[Event, ...]:
    """Return what is recorded of a host that does not answer; nothing until that is so for ``lost_after``, or again.

    ``silent_since``: since when whoever asks has had no answer. What others have seen meanwhile counts: a service that
    is cut off from a host must not take it to be gone while another one sees it. Times in microseconds.
    """
    since = max(silent_since, host.observed_at or silent_since)
    if host.lost_at is not None or now - since < lost_after:
        return ()
    return (recorded.HostLost(host.host_id, since, now),)


def off_reason(vps: Vps, guest: GuestSeen | None, boot_id: str) -> Literal["guest", "lost"]:
    """Return why a VPS does not run that should, by what its host shows of it on this boot: by itself, or by the host.

    The names of starts begin with that of the boot that they were made on.
    """
    same_boot = vps.start_id.startswith(boot_id)
    same_start = guest is not None and guest.start_id in ("", vps.start_id)
    return "guest" if same_boot and same_start else "lost"


def leave_alone(host: Host, differed: recorded.HostDiffered) -> tuple[Event, ...]:
    """Return what is recorded of a guest that the ledger cannot explain; nothing where it was recorded before."""
    return () if differed.vps_id in host.left_alone else (differed,)


Finding = Literal["agrees", "off", "lost", "unwanted", "orphan", "unknown", "duplicate"]
"""``off``: it should run and is off; ``lost``: another start of it runs; ``unwanted``: it is on, or halted, and
should be off; ``orphan``: of a VPS that was deleted; ``unknown``: of a VPS that was never asked for, as far as the
ledger knows; ``duplicate``: of a VPS whose place is not this host."""


def compare(vps: Vps | None, guest: GuestSeen | None, host_id: HostId, collected_at: Instant) -> Finding:
    """Return how a host and the ledger differ about one VPS, by an observation of the host it is on.

    What a worker is busy with agrees, and so does all that was observed before something was last done.
    """
    if vps is None:
        return "unknown"
    if vps.deleted:
        return "orphan"
    if vps.host_id != host_id:
        return "duplicate"
    if collected_at <= vps.changed_at:
        return "agrees"
    if vps.usable:
        if guest is None or not guest.running:
            return "off"
        same = (guest.generation, guest.start_id) == (vps.generation, vps.start_id)
        return "agrees" if same else "lost"
    # A guest that the host has halted serves nobody, but it is there, and has its memory.
    on = guest is not None and guest.start_id != ""
    return "unwanted" if on and next_step(vps) is None else "agrees"


def shows_off(vps: Vps, guest: GuestSeen | None) -> bool:
    """Return whether a host shows this very start of a VPS, and shows it off: what is only absent proves nothing."""
    return guest is not None and not guest.start_id and guest.generation >= vps.generation


def shown_key(vps_id: VpsId, start_id: str) -> str:
    """Return what a start of a VPS is found by among those that a host showed."""
    return f"{vps_id} {start_id}"


def _observed(host: Host, event: recorded.HostObserved) -> Host:
    oldest = event.collected_at - SHOWN_KEPT
    shown = {key: start for key, start in host.shown.items() if start.until >= oldest}
    for guest in event.guests:
        key = shown_key(guest.vps_id, guest.start_id)
        before = shown.get(key)
        # Two who look at once may be recorded in either order; and CPU time that fell proves nothing.
        later = before is None or (event.collected_at > before.until and guest.cpu_ns >= before.cpu_ns)
        if guest.running and later:
            shown[key] = Shown(guest.generation, guest.cpu_ns, event.collected_at)
    observed_at = max(event.collected_at, host.observed_at or event.collected_at)
    return msgspec.structs.replace(host, observed_at=observed_at, boot_id=event.boot_id, shown=shown)
