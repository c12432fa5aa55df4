"""Observing: what a host shows is recorded, since it proves the minutes of its guests."""

from api.application.fail_points import reach
from api.application.repository import Sight
from api.application.worker_context import Workshop
from domain.compute import host as hosts
from domain.compute.host import host_view
from domain.compute.ports import HostObservation, Hypervisor
from domain.deciding import Decision, recorded_in
from domain.ids import host_stream
from domain.time import Instant


async def observe_host(workshop: Workshop, hypervisor: Hypervisor) -> HostObservation:
    """Record what a host shows now, and return it. Raises HypervisorUnavailable."""
    view = host_view(hypervisor.host_id)
    reach("observe:before-host")
    seen = await hypervisor.observe()
    reach("observe:after-host")

    def decide(sight: Sight, _now: Instant) -> Decision:
        host = sight.of(view)
        assert host is not None, "a host is registered before it is driven"
        return recorded_in(host_stream(host.host_id), *hosts.observe(host, seen))

    await workshop.record([view], decide, "observe", None)
    return seen
