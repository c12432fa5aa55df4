"""Metrics of guests: hosts are asked now and then, and whoever owns a VPS is told of its last hour."""

import asyncio

import structlog

from api.application.caller import Caller
from api.application.runtime import Runtime
from domain.compute import vps as vpss
from domain.compute.metrics import GRAIN_S, KEPT_S, Rates, Sample, rates
from domain.compute.ports import Hypervisor, HypervisorUnavailable
from domain.compute.vps import vps_ref
from domain.ids import VpsId
from domain.time import Instant, seconds

_log = structlog.get_logger(__name__)


async def collect_metrics(runtime: Runtime) -> None:
    """Keep what each host that this process drives shows of its guests now; one that does not answer costs itself."""
    async with asyncio.TaskGroup() as together:
        for hypervisor in runtime.worker.hypervisors.values():
            together.create_task(_collect_from(runtime, hypervisor))


async def _collect_from(runtime: Runtime, hypervisor: Hypervisor) -> None:
    try:
        async with asyncio.timeout(GRAIN_S):
            await runtime.metrics.keep(hypervisor.host_id, await hypervisor.measure())
    except (HypervisorUnavailable, TimeoutError) as problem:
        _log.info("no metrics of a host", host_id=str(hypervisor.host_id), problem=str(problem))


async def sweep_metrics(runtime: Runtime) -> None:
    """Drop what is older than an hour: VPSs that are on write over it themselves."""
    await runtime.metrics.sweep(Instant(runtime.clock.now() - seconds(KEPT_S)))


async def metrics_of_vps(runtime: Runtime, caller: Caller, vps_id: VpsId) -> list[Rates]:
    """Return what a VPS used within the last hour, oldest first. Raises NotFound."""
    ref = vps_ref(vps_id)
    vpss.owned((await runtime.aggregates.load(ref)).of(ref), caller.account_id)
    return rates(await runtime.metrics.of_vps(vps_id, Instant(runtime.clock.now() - seconds(KEPT_S))))


async def newest_metrics(runtime: Runtime) -> list[Sample]:
    """Return the newest sample of each VPS that is on."""
    return list(await runtime.metrics.newest(runtime.clock.now()))
