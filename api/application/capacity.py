"""Capacity: what hosts have and what of it is reserved, read for whoever places or starts a VPS, and put right."""

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from domain.compute import outcomes
from domain.compute.capacity import FLEET, Room, capacity_ref, join
from domain.compute.events import HostRegistered
from domain.compute.host import host_ref, register
from domain.compute.vps import vps_ref
from domain.deciding import AggregateRef, Decision, recorded_in
from domain.ids import FLEET_STREAM, HostId, VpsId
from domain.ports import StoreFailed
from domain.settings.settings import SETTINGS_REF
from domain.time import Instant

ADOPTED_AT_ONCE_MAX = 500

_log = structlog.get_logger(__name__)


class RoomRefs(msgspec.Struct, frozen=True, eq=False):
    """The aggregates that tell which room there is on which host."""

    host_ids: tuple[HostId, ...]
    placeable: frozenset[HostId]
    """Those that new VPSs may be placed on."""

    @property
    def refs(self) -> tuple[AggregateRef[Any], ...]:
        """Return what is to be read, each once."""
        of_hosts = (ref for host_id in self.host_ids for ref in (host_ref(host_id), capacity_ref(host_id)))
        return (SETTINGS_REF, *of_hosts)

    def rooms(self, loaded: Loaded, *, new: bool) -> tuple[Room, ...]:
        """Return the room of each host; ``new``: of those only on which a new VPS may be placed."""
        settings = loaded.of(SETTINGS_REF)
        rooms = []
        for host_id in self.host_ids:
            host = loaded.of(host_ref(host_id))
            if host is None or (new and host_id not in self.placeable):
                continue
            cpu_percent = host.cpu_percent or settings.host_cpu_percent
            disk_percent = host.disk_percent or settings.host_disk_percent
            rooms.append(Room(host, loaded.of(capacity_ref(host_id)), cpu_percent, disk_percent))
        return tuple(rooms)


async def room_refs(worker: WorkerContext) -> RoomRefs:
    """Return references to every host that VPSs can be on.

    New ones are placed where this process can have them made; where it drives no host, wherever others may.
    """
    joined = (await worker.aggregates.load(FLEET)).of(FLEET)
    host_ids = tuple(dict.fromkeys((*worker.hypervisors, *joined)))
    return RoomRefs(host_ids, frozenset(worker.hypervisors or host_ids))


async def ensure_registered(worker: WorkerContext, wanted: HostRegistered) -> None:
    """Record a host that can take VPSs, unless just that is recorded, and what is on it that was placed before."""
    ref = host_ref(wanted.host_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        joined = ((FLEET_STREAM, event) for event in join(loaded.of(FLEET), wanted.host_id))
        registered = recorded_in(ref.stream, *register(loaded.of(ref), wanted))
        return Decision(events=(*registered.events, *joined))

    await worker.record([ref, FLEET], decide, "", None)
    await adopt(worker, wanted.host_id, await worker.work.vpss_on(wanted.host_id))


async def adopt(worker: WorkerContext, host_id: HostId, placed: Iterable[VpsId]) -> None:
    """Have VPSs that were placed on a host before it had reservations hold what they have."""
    reserved = capacity_ref(host_id)
    held = (await worker.aggregates.load(reserved)).of(reserved).by_vps
    missing = [vps_id for vps_id in placed if vps_id not in held]
    for first in range(0, len(missing), ADOPTED_AT_ONCE_MAX):
        together = missing[first : first + ADOPTED_AT_ONCE_MAX]
        try:
            await _adopt(worker, host_id, together)
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Each by itself then, and whoever is to blame is found so.
            for vps_id in together:
                await _adopt_alone(worker, host_id, vps_id)


async def _adopt_alone(worker: WorkerContext, host_id: HostId, vps_id: VpsId) -> None:
    try:
        await _adopt(worker, host_id, [vps_id])
    except StoreFailed:
        raise
    except Exception:  # noqa: BLE001 Of this one; the others hold what they have.
        _log.exception("vps not adopted", host_id=str(host_id), vps_id=str(vps_id))


async def _adopt(worker: WorkerContext, host_id: HostId, vps_ids: Iterable[VpsId]) -> None:
    reserved = capacity_ref(host_id)
    refs = [vps_ref(vps_id) for vps_id in vps_ids]

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        decisions = (outcomes.adopted(loaded.of(ref), host_id, loaded.of(reserved)) for ref in refs)
        return Decision(events=tuple(event for decision in decisions for event in decision.events))

    await worker.record([reserved, *refs], decide, "adopt", None)
