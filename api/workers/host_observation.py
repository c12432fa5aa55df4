"""Observing: what a host shows is recorded, since it proves the minutes of its guests."""

from api.application.fail_points import fail_point
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from domain.compute import host as hosts
from domain.compute.host import host_ref
from domain.compute.ports import HostObservation, Hypervisor
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import host_stream
from domain.time import Instant


async def observe_host(worker: WorkerContext, hypervisor: Hypervisor) -> HostObservation:
    """Record what a host shows now, and return it. Raises HypervisorUnavailable."""
    ref = host_ref(hypervisor.host_id)
    fail_point("observe:before-host")
    seen = await hypervisor.observe()
    fail_point("observe:after-host")

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        host = loaded.of(ref)
        if host is None:
            return NOTHING  # One elsewhere that has not told yet what it has: nothing is placed on it either.
        return recorded_in(host_stream(host.host_id), *hosts.observe(host, seen))

    await worker.record([ref], decide, "observe", None)
    return seen
