"""Capacity: what of a compute host is reserved for VPSs, and which host can take one more.

Memory, processors and a port are held by what is on, from the admission until the host has shown it off; disk by
everything that is not removed from the host, on or off. A reservation is recorded in the very append that lets a VPS
be on, in a stream that each host has for it: of two requests or processes that want the last of it, one is refused.

A new VPS is placed by score (``Room.score``): where the scarcest of memory, processors and disk will be least scarce.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from domain.compute import events as recorded
from domain.compute.host import Host
from domain.deciding import AggregateRef, Fold
from domain.errors import Refusal
from domain.events import Event
from domain.ids import FLEET_STREAM, HostId, VpsId, capacity_stream
from domain.time import Instant

PLANS_LABEL = "plans"
"""The label of a host that names the plans it is for, such as ``small,medium``; a host without it is for all."""
EQUAL_POINTS = 2
"""Hosts that are no further behind the best are as good as that: which of them is taken depends on the VPS's id, so
that those who place at the same time seldom meet at one host and have to decide again."""
RETRY_AFTER_S = 30
"""When it is worth while to ask again: others stop theirs at any time, and nobody can tell when."""


class NoCapacity(Refusal):
    """No host has the memory, the processors, the disk or the port that this takes; nothing was recorded."""

    code = "no_capacity"
    sentence = "no host has room for it now"

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=RETRY_AFTER_S)


class PlanNotOfHost(Refusal):
    """The host that a VPS is on, with its disk, is for other plans."""

    code = "plan_not_of_host"
    sentence = "the host of the vps is for other plans"


class Sizes(Protocol):
    """What a VPS takes of its host: processors, MiB of memory, GiB of disk."""

    @property
    def vps_id(self) -> VpsId: ...
    @property
    def vcpu(self) -> int: ...
    @property
    def memory_mb(self) -> int: ...
    @property
    def disk_gb(self) -> int: ...


class Reservation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one VPS holds of its host. Off, it holds its disk only."""

    generation: int
    """The start that it is held for."""
    vcpu: int
    memory_mb: int
    disk_gb: int
    ssh_port: int | None

    @property
    def on(self) -> bool:
        """Return whether it is held for a guest that is, or may be, on."""
        return self.ssh_port is not None


class Reservations(msgspec.Struct, frozen=True):
    """Everything that is reserved of one host, and the sums of it."""

    by_vps: dict[VpsId, Reservation] = {}
    ports: dict[int, VpsId] = {}
    vcpu: int = 0
    memory_mb: int = 0
    disk_gb: int = 0
    drained: bool = False
    """Whether no new VPS is placed here."""


def evolve(reserved: Reservations, event: Event) -> Reservations:
    """Return the reservations after an event of their stream."""
    match event:
        case recorded.CapacityReserved():
            taken = Reservation(event.generation, event.vcpu, event.memory_mb, event.disk_gb, event.ssh_port)
            return _with(reserved, event.vps_id, taken)
        case recorded.CapacityReleased():
            before = reserved.by_vps.get(event.vps_id)
            kept = (
                None if before is None or event.removed else Reservation(before.generation, 0, 0, before.disk_gb, None)
            )
            return _with(reserved, event.vps_id, kept)
        case recorded.HostDrained():
            return msgspec.structs.replace(reserved, drained=True)
        case recorded.HostUndrained():
            return msgspec.structs.replace(reserved, drained=False)
        case _:
            return reserved


FOLD: Fold[Reservations] = Fold(initial=Reservations(), evolve=evolve, snapshot=Reservations)


def capacity_ref(host_id: HostId) -> AggregateRef[Reservations]:
    """Return the reference of what is reserved of a host."""
    return AggregateRef(capacity_stream(host_id), FOLD)


class Room(msgspec.Struct, frozen=True):
    """A host, what of it is reserved, and how far beyond what it has may be promised, in percent of it."""

    host: Host
    reserved: Reservations
    cpu_percent: int
    disk_percent: int

    @property
    def vcpu(self) -> int | None:
        """Return how many processors all guests may have together; None: any number."""
        return None if self.host.vcpu is None else self.host.vcpu * self.cpu_percent // 100

    @property
    def disk_gb(self) -> int | None:
        """Return how much disk all VPSs may have together; None: any amount."""
        return None if self.host.disk_gb is None else self.host.disk_gb * self.disk_percent // 100

    def free_port(self, vps_id: VpsId, preferred: int | None) -> int | None:
        """Return the port that a VPS had before if it is free, else another; None where all are taken."""
        first, count, taken = self.host.port_from, self.host.port_to - self.host.port_from + 1, self.reserved.ports
        if preferred is not None and first <= preferred < first + count and taken.get(preferred, vps_id) == vps_id:
            return preferred
        # From the id's random part, so that a port that was somebody's is seldom the next one's at once.
        ports = (first + (vps_id.int + k) % count for k in range(count))
        return next((port for port in ports if port not in taken), None)

    def has_power_for(self, sizes: Sizes) -> bool:
        """Return whether memory and processors are there for a VPS to be on; what it holds itself is its own."""
        own = self.reserved.by_vps.get(sizes.vps_id)
        memory_mb = self.reserved.memory_mb + sizes.memory_mb - (own.memory_mb if own else 0)
        vcpu = self.reserved.vcpu + sizes.vcpu - (own.vcpu if own else 0)
        return _within(memory_mb, self.host.memory_mb) and _within(vcpu, self.vcpu)

    def has_disk_for(self, sizes: Sizes) -> bool:
        """Return whether there is disk for one more VPS."""
        return _within(self.reserved.disk_gb + sizes.disk_gb, self.disk_gb)

    def takes(self, plan: str | None) -> bool:
        """Return whether new VPSs of a plan are placed here, if there is room; None: of a plan that nobody knows."""
        if self.host.lost_at is not None:
            return False
        return self.is_for(plan) and not self.reserved.drained

    def is_for(self, plan: str | None) -> bool:
        """Return whether VPSs of a plan are meant to be here; None: of a plan that nobody knows."""
        plans = self.host.labels.get(PLANS_LABEL)
        return plans is None or plan is None or plan in map(str.strip, plans.split(","))

    def score(self, sizes: Sizes) -> int:
        """Return how good a place this is for a VPS that it has room for, in points.

        The percentage that is left of the scarcest of memory, processors and disk once the VPS is there. By the
        scarcest, so that none is used up while others lie idle.
        """
        reserved = self.reserved
        return min(
            _left_percent(reserved.memory_mb + sizes.memory_mb, self.host.memory_mb),
            _left_percent(reserved.vcpu + sizes.vcpu, self.vcpu),
            _left_percent(reserved.disk_gb + sizes.disk_gb, self.disk_gb),
        )


class Reserved(msgspec.Struct, frozen=True):
    """Where a VPS has its place, and the event that holds it."""

    host: Host
    event: recorded.CapacityReserved

    @property
    def ssh_port(self) -> int:
        """Return the port of the host that leads to its SSH."""
        assert self.event.ssh_port is not None, "what is to be on has a port"
        return self.event.ssh_port


def reserve(rooms: Iterable[Room], sizes: Sizes, generation: int, plan: str | None = None) -> Reserved:
    """Reserve all that a new VPS takes, on the host that scores best. Raises NoCapacity.

    ``plan``: the name of its plan; None: one that nobody knows, which any host takes.
    """
    fit = [room for room in rooms if room.takes(plan) and room.has_power_for(sizes) and room.has_disk_for(sizes)]
    for room in _best_first(fit, sizes):
        port = room.free_port(sizes.vps_id, None)
        if port is not None:
            return _reserved(room, sizes, generation, port)
    raise NoCapacity


def reserve_again(rooms: Iterable[Room], host_id: HostId, sizes: Sizes, generation: int, port: int | None) -> Reserved:
    """Reserve what a VPS takes that is to be on again, where its disk is. Raises NoCapacity, also while that is lost.

    ``port``: the one it had before, which it gets again if it is free.
    """
    room = next((room for room in rooms if room.host.host_id == host_id), None)
    if room is None or room.host.lost_at is not None or not room.has_power_for(sizes):
        raise NoCapacity
    free = room.free_port(sizes.vps_id, port)
    if free is None:
        raise NoCapacity
    place = _reserved(room, sizes, generation, free)
    held = room.reserved.by_vps.get(sizes.vps_id)
    if held is None:
        return place
    # What it has on disk stays as it is, snapshots included: to be on takes nothing more of that.
    return Reserved(room.host, msgspec.structs.replace(place.event, disk_gb=held.disk_gb))


def hold_on(reserved: Reservations, host_id: HostId, vps_id: VpsId, generation: int) -> recorded.CapacityReserved:
    """Hold for the next start of a VPS that is on what is held for this one. Raises NoCapacity if that was let go."""
    held = reserved.by_vps.get(vps_id)
    if held is None or not held.on:
        raise NoCapacity
    return _with_disk(host_id, vps_id, msgspec.structs.replace(held, generation=generation), held.disk_gb)


def reserve_disk(rooms: Iterable[Room], host_id: HostId, vps_id: VpsId, disk_gb: int) -> recorded.CapacityReserved:
    """Reserve so much more disk, GiB, for a VPS where it is. Raises NoCapacity."""
    room = next((room for room in rooms if room.host.host_id == host_id), None)
    held = None if room is None else room.reserved.by_vps.get(vps_id)
    if room is None or held is None or not _within(room.reserved.disk_gb + disk_gb, room.disk_gb):
        raise NoCapacity
    return _with_disk(host_id, vps_id, held, held.disk_gb + disk_gb)


def grow_disk(rooms: Iterable[Room], host_id: HostId, vps_id: VpsId, disk_gb: int) -> tuple[Event, ...]:
    """Return what is recorded when a VPS is to have so much more disk, GiB; nothing for none. Raises NoCapacity."""
    return (reserve_disk(rooms, host_id, vps_id, disk_gb),) if disk_gb else ()


def check_plan(rooms: Iterable[Room], host_id: HostId, plan: str) -> None:
    """Raise PlanNotOfHost where a host is for other plans: nothing of this one is placed there, or resized to it."""
    if any(room.host.host_id == host_id and not room.is_for(plan) for room in rooms):
        raise PlanNotOfHost


def release_disk(
    reserved: Reservations, host_id: HostId, vps_id: VpsId, disk_gb: int
) -> tuple[recorded.CapacityReserved, ...]:
    """Return what is recorded once a VPS keeps so much less disk, GiB."""
    held = reserved.by_vps.get(vps_id)
    if held is None:
        return ()
    return (_with_disk(host_id, vps_id, held, held.disk_gb - disk_gb),)


def release(
    reserved: Reservations, host_id: HostId, vps_id: VpsId, *, removed: bool
) -> tuple[recorded.CapacityReleased, ...]:
    """Return what is recorded once a host has shown a guest off, or has nothing left of it; once only."""
    held = reserved.by_vps.get(vps_id)
    if held is None or not (held.on or removed):
        return ()
    return (recorded.CapacityReleased(host_id, vps_id, held.generation, removed=removed),)


def drain(reserved: Reservations, host_id: HostId, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when no new VPS is to be placed on a host; nothing where that is so.

    What is there stays, and may be started: its disk is nowhere else.
    """
    return () if reserved.drained else (recorded.HostDrained(host_id, now),)


def undrain(reserved: Reservations, host_id: HostId, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded when new VPSs are placed on a host again; nothing where they are."""
    return (recorded.HostUndrained(host_id, now),) if reserved.drained else ()


def fleet(hosts: tuple[HostId, ...], event: Event) -> tuple[HostId, ...]:
    """Return the hosts that VPSs can be placed on, after an event of their list."""
    match event:
        case recorded.HostJoined() if event.host_id not in hosts:
            return (*hosts, event.host_id)
        case _:
            return hosts


FLEET: AggregateRef[tuple[HostId, ...]] = AggregateRef(FLEET_STREAM, Fold(initial=(), evolve=fleet))


def join(hosts: tuple[HostId, ...], host_id: HostId) -> tuple[Event, ...]:
    """Return what is recorded of a host that VPSs can be placed on; nothing where it is among them."""
    return () if host_id in hosts else (recorded.HostJoined(host_id),)


def _best_first(rooms: list[Room], sizes: Sizes) -> Iterator[Room]:
    scores = {room.host.host_id: room.score(sizes) for room in rooms}
    best = max(scores.values(), default=0)

    def order(room: Room) -> tuple[int, int, int]:
        behind = best - scores[room.host.host_id]
        # Of a host without limits nothing is ever scarce: there the memory that is promised tells who has more to do.
        promised = room.reserved.memory_mb if room.host.memory_mb is None else 0
        return (0 if behind <= EQUAL_POINTS else behind, promised, room.host.host_id.int ^ sizes.vps_id.int)

    return iter(sorted(rooms, key=order))


def _left_percent(taken: int, of: int | None) -> int:
    return 100 if of is None else (of - taken) * 100 // max(of, 1)


def _reserved(room: Room, sizes: Sizes, generation: int, port: int) -> Reserved:
    event = recorded.CapacityReserved(
        host_id=room.host.host_id,
        vps_id=sizes.vps_id,
        generation=generation,
        vcpu=sizes.vcpu,
        memory_mb=sizes.memory_mb,
        disk_gb=sizes.disk_gb,
        ssh_port=port,
    )
    return Reserved(room.host, event)


def _with_disk(host_id: HostId, vps_id: VpsId, held: Reservation, disk_gb: int) -> recorded.CapacityReserved:
    return recorded.CapacityReserved(
        host_id=host_id,
        vps_id=vps_id,
        generation=held.generation,
        vcpu=held.vcpu,
        memory_mb=held.memory_mb,
        disk_gb=disk_gb,
        ssh_port=held.ssh_port,
    )


def _with(reserved: Reservations, vps_id: VpsId, taken: Reservation | None) -> Reservations:
    before = reserved.by_vps.get(vps_id)
    by_vps, ports = dict(reserved.by_vps), dict(reserved.ports)
    if before is not None:
        del by_vps[vps_id]
        if before.ssh_port is not None and ports.get(before.ssh_port) == vps_id:
            del ports[before.ssh_port]
    if taken is not None:
        by_vps[vps_id] = taken
        if taken.ssh_port is not None:
            ports[taken.ssh_port] = vps_id
    return msgspec.structs.replace(
        reserved,
        by_vps=by_vps,
        ports=ports,
        vcpu=reserved.vcpu + (taken.vcpu if taken else 0) - (before.vcpu if before else 0),
        memory_mb=reserved.memory_mb + (taken.memory_mb if taken else 0) - (before.memory_mb if before else 0),
        disk_gb=reserved.disk_gb + (taken.disk_gb if taken else 0) - (before.disk_gb if before else 0),
    )


def _within(wanted: int, limit: int | None) -> bool:
    return limit is None or wanted <= limit
