"""Capacity: what hosts have and what of it is reserved, read for whoever places or starts a VPS, and put right."""

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog

from api.application.repository import Sight
from api.application.worker_context import Workshop
from domain.compute import outcomes
from domain.compute.capacity import FLEET, Room, capacity_view, join
from domain.compute.events import HostRegistered
from domain.compute.host import host_view, register
from domain.compute.vps import vps_view
from domain.deciding import Decision, View, recorded_in
from domain.ids import FLEET_STREAM, HostId, VpsId
from domain.ports import StoreFailed
from domain.settings.settings import SETTINGS_VIEW
from domain.time import Instant

ADOPTED_AT_ONCE_MAX = 500

_log = structlog.get_logger(__name__)


class RoomViews(msgspec.Struct, frozen=True, eq=False):
    """The views that tell which room there is on which host."""

    host_ids: tuple[HostId, ...]
    placeable: frozenset[HostId]
    """Those that new VPSs may be placed on."""

    @property
    def views(self) -> tuple[View[Any], ...]:
        """Return what is to be read, each once."""
        of_hosts = (view for host_id in self.host_ids for view in (host_view(host_id), capacity_view(host_id)))
        return (SETTINGS_VIEW, *of_hosts)

    def rooms(self, sight: Sight, *, new: bool) -> tuple[Room, ...]:
        """Return the room of each host; ``new``: of those only on which a new VPS may be placed."""
        settings = sight.of(SETTINGS_VIEW)
        rooms = []
        for host_id in self.host_ids:
            host = sight.of(host_view(host_id))
            if host is None or (new and host_id not in self.placeable):
                continue
            cpu_percent = host.cpu_percent or settings.host_cpu_percent
            disk_percent = host.disk_percent or settings.host_disk_percent
            rooms.append(Room(host, sight.of(capacity_view(host_id)), cpu_percent, disk_percent))
        return tuple(rooms)


async def room_views(workshop: Workshop) -> RoomViews:
    """Return the views of every host that VPSs can be on.

    New ones are placed where this process can have them made; where it drives no host, wherever others may.
    """
    joined = (await workshop.ledger.read(FLEET)).of(FLEET)
    host_ids = tuple(dict.fromkeys((*workshop.hypervisors, *joined)))
    return RoomViews(host_ids, frozenset(workshop.hypervisors or host_ids))


async def ensure_registered(workshop: Workshop, wanted: HostRegistered) -> None:
    """Record a host that can take VPSs, unless just that is recorded, and what is on it that was placed before."""
    view = host_view(wanted.host_id)

    def decide(sight: Sight, _now: Instant) -> Decision:
        joined = ((FLEET_STREAM, event) for event in join(sight.of(FLEET), wanted.host_id))
        registered = recorded_in(view.stream, *register(sight.of(view), wanted))
        return Decision(events=(*registered.events, *joined))

    await workshop.record([view, FLEET], decide, "", None)
    await adopt(workshop, wanted.host_id, await workshop.work.vpss_on(wanted.host_id))


async def adopt(workshop: Workshop, host_id: HostId, placed: Iterable[VpsId]) -> None:
    """Have VPSs that were placed on a host before it had reservations hold what they have."""
    reserved = capacity_view(host_id)
    held = (await workshop.ledger.read(reserved)).of(reserved).by_vps
    missing = [vps_id for vps_id in placed if vps_id not in held]
    for first in range(0, len(missing), ADOPTED_AT_ONCE_MAX):
        together = missing[first : first + ADOPTED_AT_ONCE_MAX]
        try:
            await _adopt(workshop, host_id, together)
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Each by itself then, and whoever is to blame is found so.
            for vps_id in together:
                await _adopt_alone(workshop, host_id, vps_id)


async def _adopt_alone(workshop: Workshop, host_id: HostId, vps_id: VpsId) -> None:
    try:
        await _adopt(workshop, host_id, [vps_id])
    except StoreFailed:
        raise
    except Exception:  # noqa: BLE001 Of this one; the others hold what they have.
        _log.exception("vps not adopted", host_id=str(host_id), vps_id=str(vps_id))


async def _adopt(workshop: Workshop, host_id: HostId, vps_ids: Iterable[VpsId]) -> None:
    reserved = capacity_view(host_id)
    views = [vps_view(vps_id) for vps_id in vps_ids]

    def decide(sight: Sight, _now: Instant) -> Decision:
        decisions = (outcomes.adopted(sight.of(view), host_id, sight.of(reserved)) for view in views)
        return Decision(events=tuple(event for decision in decisions for event in decision.events))

    await workshop.record([reserved, *views], decide, "adopt", None)
