"""The steps about snapshots of a VPS's disk: taken, removed, and the disk set back to one."""

import asyncio

from api.application.fail_points import fail_point
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext, address_of
from api.workers.steps.attempt import Attempt
from api.workers.steps.booting import hypervisor_of, while_wanted
from api.workers.steps.ending import prove_last_minutes
from domain.compute import snapshots
from domain.compute.capacity import capacity_ref
from domain.compute.host import host_ref
from domain.compute.ports import GuestUnreachable, HostKeyChanged, JobSpec
from domain.compute.steps import Step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import Decision
from domain.ids import JobId, SnapshotId
from domain.pricing.price_book import PRICES
from domain.time import Instant
from domain.wallet.wallet import wallet_ref

WRITE_OUT_TIMEOUT_S = 10
"""How long a guest has to write out what it holds in memory; after that its disk is taken as it is."""


async def take(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the disk kept as it is, of a guest that is on or off."""
    worker, snapshot_id = attempt.worker, _snapshot_id(step)
    if vps.power == "up" and not await while_wanted(worker, vps, step, _write_out(worker, vps, snapshot_id)):
        return  # It is to be off, which comes first, and free of charge: no guest may draw that out.
    fail_point("take-snapshot:before-host")
    await hypervisor_of(worker, vps).ensure_snapshot(vps.vps_id, snapshot_id)
    fail_point("take-snapshot:after-host")
    ref = vps_ref(vps.vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return snapshots.taken(loaded.of(ref), step, now)

    await worker.record([ref], decide, step.name, vps.account_id)


async def remove(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have nothing left of a snapshot."""
    worker = attempt.worker
    hypervisor = hypervisor_of(worker, vps)
    fail_point("remove-snapshot:before-host")
    await hypervisor.ensure_snapshot_removed(vps.vps_id, _snapshot_id(step))
    fail_point("remove-snapshot:after-host")
    ref, wallet, reserved = vps_ref(vps.vps_id), wallet_ref(vps.account_id), capacity_ref(hypervisor.host_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return snapshots.deleted(loaded.of(ref), loaded.of(reserved), step, now)

    await worker.record([ref, wallet, reserved], decide, step.name, vps.account_id)


async def restore(attempt: Attempt, vps: Vps, step: Step) -> None:
    """Have the guest off and its disk as it was; one that was on is to be started again."""
    worker = attempt.worker
    hypervisor = hypervisor_of(worker, vps)
    await worker.shell.forget(vps.vps_id)
    await prove_last_minutes(worker, vps)
    fail_point("restore:before-host")
    await hypervisor.ensure_restored(vps.vps_id, _snapshot_id(step), generation=vps.generation)
    fail_point("restore:after-host")
    off_at = worker.clock.now()
    await worker.settle(vps.account_id)
    ref, wallet = vps_ref(vps.vps_id), wallet_ref(vps.account_id)
    host, reserved = host_ref(hypervisor.host_id), capacity_ref(hypervisor.host_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        return snapshots.restored(
            loaded.of(ref),
            loaded.of(wallet),
            loaded.of(host),
            loaded.of(reserved),
            loaded.of(PRICES),
            step,
            off_at,
        )

    await worker.record([ref, wallet, PRICES, host, reserved], decide, step.name, vps.account_id)


async def _write_out(worker: WorkerContext, vps: Vps, snapshot_id: SnapshotId) -> None:
    """Have the guest write out what it holds in memory; one that does not answer loses it, as by a power cut."""
    address, job_id = address_of(vps), JobId(snapshot_id)
    job = JobSpec(job_id=job_id, command="sync", timeout_s=WRITE_OUT_TIMEOUT_S, output_limit_bytes=1_000)
    try:
        async with asyncio.timeout(WRITE_OUT_TIMEOUT_S):
            await worker.shell.run(address, job)
            await worker.shell.discard(address, job_id)
    except (TimeoutError, GuestUnreachable, HostKeyChanged):
        return


def _snapshot_id(step: Step) -> SnapshotId:
    assert step.snapshot_id is not None, "the step is about one of the snapshots"
    return step.snapshot_id
