"""Has recorded what hosts kept guests from."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import structlog

from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from domain.compute.denials import record_denials
from domain.compute.ports import Denial, Hypervisor, HypervisorUnavailable
from domain.compute.vps import vps_ref
from domain.deciding import Decision
from domain.ids import VpsId
from domain.ports import StoreUnavailable
from domain.time import Instant

EVERY_S = 60.0

_log = structlog.get_logger(__name__)


async def collect_denials(worker: WorkerContext) -> None:
    """Have recorded what each host refused since the last time. What we end over is lost: it moves no money."""
    await asyncio.gather(*(_collect(worker, hypervisor) for hypervisor in worker.hypervisors.values()))


async def _collect(worker: WorkerContext, hypervisor: Hypervisor) -> None:
    try:
        denials = await hypervisor.take_denials()
    except HypervisorUnavailable as problem:
        _log.warning("host does not answer", host_id=str(hypervisor.host_id), problem=str(problem))
        return
    by_vps: dict[VpsId, list[Denial]] = defaultdict(list)
    for denial in denials:
        by_vps[denial.vps_id].append(denial)
    for vps_id, of_vps in by_vps.items():
        try:
            await _record(worker, vps_id, of_vps)
        except StoreUnavailable:
            raise
        except Exception:  # noqa: BLE001 Whatever it is, it is of this one.
            _log.exception("what a guest was kept from is lost", vps_id=str(vps_id))


async def _record(worker: WorkerContext, vps_id: VpsId, denials: Sequence[Denial]) -> None:
    ref = vps_ref(vps_id)
    vps = await worker.vps(vps_id)
    if vps is None:
        return

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return record_denials(loaded.of(ref), denials, now)

    await worker.record([ref], decide, "denied", vps.account_id)
