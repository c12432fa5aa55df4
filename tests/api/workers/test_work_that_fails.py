"""Work that fails in ways nobody foresaw, or takes long, ends, and keeps nobody else's waiting."""

import asyncio

import pytest
from structlog.testing import capture_logs

from adapters.simulated.hypervisor import SimulatedHypervisor
from api.application.jobs import request_job
from api.application.worker_context import WorkerContext
from domain.deciding import AggregateRef
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished
from domain.exec.job import Job, job_ref
from domain.ids import JobId, VpsId, vps_stream
from tests.api.compute_world import IDS, World, Worlds
from tests.steps import SHORT, change_steps

pytestmark = pytest.mark.anyio


async def test_a_step_at_which_something_unforeseen_happens_each_time_ends_in_an_error_with_a_way_out(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_steps(monkeypatch, "prepare", deadline_s=0.05, pauses=SHORT)
    world = await worlds()
    worker = await world.founded()

    async def broken(*_: object) -> None:
        raise ValueError("a name that no host takes")

    async with world.working(worker):
        with monkeypatch.context() as mistake:
            mistake.setattr(SimulatedHypervisor, "ensure_prepared", broken)
            poisoned = await world.create(worker)
            (vps,) = await world.settled(worker, poisoned)
            assert (vps.state, vps.error) == ("error", "the host could not start the guest in time")

        await world.ask(worker, "start", poisoned)
        (vps,) = await world.settled(worker, poisoned)
        assert vps.state == "running"


async def test_vpss_of_which_nobody_can_read_anything_keep_no_other_from_being_made(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.workers.provisioning.OPEN_MAX", 2)
    world = await worlds()
    worker = await world.founded()
    vps_ids = []
    for _ in range(4):
        vps_ids.append(await world.create(worker))
        world.clock.advance(1)
    world.store.poisoned = {vps_stream(vps_id) for vps_id in vps_ids[:3]}

    with capture_logs() as logs:
        async with world.working(world.worker()):
            (vps,) = await world.settled(world.worker(), vps_ids[3])

    assert vps.state == "running"
    assert {one["key"] for one in logs if one["event"] == "work failed"} == {str(vps_id) for vps_id in vps_ids[:3]}


async def test_many_long_commands_do_not_keep_the_collection_of_another_waiting(
    worlds: Worlds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.workers.provisioning.JOBS_COLLECTED_MAX", 4)
    monkeypatch.setattr("api.workers.provisioning.JOB_TURN_S", 0.05)
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        for number in range(20):
            await _request(world, worker, vps_id, f"sleep {100 + number}")
        world.clock.advance(1)
        last = await _request(world, worker, vps_id, "echo done")
        world.clock.advance(20)  # From now on all of them are taken to be abandoned.

        async with asyncio.timeout(10):
            while (seen := (await worker.aggregates.load(last)).of(last)) is None or seen.finished is None:
                world.clock.advance(0.1)
                await asyncio.sleep(0.01)

    assert seen.finished.exit_code == 0
    assert len(await world.events(JobFinished)) == 1


async def _request(world: World, worker: WorkerContext, vps_id: VpsId, text: str) -> AggregateRef[Job | None]:
    command = RunJob(job_id=JobId(IDS.new()), account_id=world.account_id, vps_id=vps_id, command=text, timeout_s=3600)
    await request_job(worker, command, world.context("exec"), timeout_s_max=3600)
    return job_ref(command.job_id)
