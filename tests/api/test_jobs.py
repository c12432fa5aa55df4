"""A command's end is recorded, whoever awaited it, and whatever became of its guest."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.memory.job_outputs import MemoryJobOutputs
from adapters.simulated.guest_shell import SimulatedGuestShell
from api.steps.jobs import LOST_AFTER_S, collect_job, output_text, request_job, run_job
from api.steps.workshop import Workshop
from domain.compute.vps import VpsNotRunning
from domain.errors import Invalid
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished, JobRequested
from domain.exec.job import Job
from domain.ids import JobId, VpsId
from domain.ports import TooLargeToStore
from tests.api.compute_world import IDS, World, until

pytestmark = pytest.mark.anyio


class Site:
    """A world with one VPS that runs."""

    def __init__(self, world: World, workshop: Workshop, vps_id: VpsId) -> None:
        self.world, self.workshop, self.vps_id = world, workshop, vps_id

    def command(self, text: str, timeout_s: int = 30) -> RunJob:
        return RunJob(
            job_id=JobId(IDS.new()),
            account_id=self.world.account_id,
            vps_id=self.vps_id,
            command=text,
            timeout_s=timeout_s,
        )

    async def run(self, command: RunJob, workshop: Workshop | None = None) -> tuple[Job, str, str]:
        workshop = workshop or self.workshop
        job, output = await run_job(workshop, command, self.world.context("exec"), timeout_s_max=600)
        return job, *await output_text(workshop, job, output)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = World()
    workshop = await world.founded()
    async with world.working(workshop):
        vps_id = await world.create(workshop)
        await world.settled(workshop, vps_id)
        yield Site(world, workshop, vps_id)


async def test_a_command_answers_with_its_output_and_exit_code(site: Site) -> None:
    job, stdout, stderr = await site.run(site.command("echo out; echo err >&2; exit 3"))

    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code, stdout, stderr) == ("done", 3, "out\n", "err\n")


async def test_a_command_is_recorded_before_and_its_end_after(site: Site) -> None:
    await site.run(site.command("true"))

    kinds = [type(event) for event in await site.world.events(JobRequested, JobFinished)]
    assert kinds == [JobRequested, JobFinished]


async def test_output_is_kept_sealed(site: Site) -> None:
    job, *_ = await site.run(site.command("echo secret"))

    kept = await site.world.outputs.find(job.job_id)
    assert kept is not None
    assert "secret" not in kept.stdout


async def test_the_same_job_asked_for_again_is_the_same_answer_and_runs_once(site: Site) -> None:
    command = site.command("echo once >> /tmp/file; cat /tmp/file")
    first = await site.run(command)
    again = await site.run(command, site.world.workshop())

    assert again == first
    assert first[1] == "once\n"


async def test_a_command_past_its_time_limit_is_told_as_such_with_its_output(site: Site) -> None:
    running = asyncio.create_task(site.run(site.command("echo begun; sleep 60", timeout_s=5)))
    await asyncio.sleep(0.02)
    site.world.clock.advance(6)

    job, stdout, _ = await running
    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code, stdout) == ("timeout", None, "begun\n")


async def test_a_job_that_nobody_awaits_any_more_is_collected_by_a_worker(site: Site) -> None:
    command = site.command("sleep 10; echo done")
    awaited = asyncio.create_task(site.run(command))
    await asyncio.sleep(0.02)
    awaited.cancel()
    site.world.clock.advance(20)

    await until(lambda: site.world.outputs.holds(command.job_id))
    job, output = await collect_job(site.workshop, command.job_id)
    assert len(await site.world.events(JobFinished)) == 1
    assert await output_text(site.workshop, job, output) == ("done\n", "")


async def test_a_job_that_never_began_is_not_begun_long_after_its_time(site: Site) -> None:
    command = site.command("echo too late")
    await request_job(site.workshop, command, site.world.context("exec"), timeout_s_max=600)
    site.world.clock.advance(3600)

    job, output = await collect_job(site.workshop, command.job_id)

    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code) == ("cancelled", None)
    assert await output_text(site.workshop, job, output) == ("", "")


async def test_a_job_that_took_long_leaves_no_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.steps.jobs.LEASED_AFTER_S", 0)
    running = asyncio.create_task(site.run(command := site.command("sleep 10")))
    await asyncio.sleep(0.02)
    site.world.clock.advance(11)
    await asyncio.wait_for(running, 10)

    assert ("job", command.job_id) not in site.world.leases.rows


@pytest.mark.parametrize(("verb", "error"), [("stop", "the vps was stopped"), ("delete", "the vps was deleted")])
async def test_a_job_whose_vps_goes_away_is_over_without_an_exit_code(site: Site, verb: str, error: str) -> None:
    running = asyncio.create_task(site.run(site.command("sleep 60")))
    await asyncio.sleep(0.02)
    await site.world.ask(site.workshop, verb, site.vps_id)

    job, stdout, _ = await asyncio.wait_for(running, 10)
    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code, job.finished.error, stdout) == ("done", None, error, "")


async def test_a_stopped_vps_runs_no_command(site: Site) -> None:
    await site.world.ask(site.workshop, "stop", site.vps_id)

    with pytest.raises(VpsNotRunning):
        await site.run(site.command("true"))


async def test_a_time_limit_over_the_maximum_is_refused(site: Site) -> None:
    with pytest.raises(Invalid):
        await site.run(site.command("true", timeout_s=601))


async def test_erased_output_reads_as_nothing(site: Site) -> None:
    job, *_ = await site.run(site.command("echo gone"))
    await site.workshop.sealer.erase(site.world.account_id)

    kept = await site.world.outputs.find(job.job_id)
    assert kept is not None
    assert await output_text(site.workshop, job, kept) == ("", "")


async def test_a_command_at_which_something_unforeseen_happens_each_time_ends_past_its_deadline(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.steps.jobs.RETRY_S", 0.01)
    monkeypatch.setattr("api.steps.jobs.UNFORESEEN_RETRY_S_MAX", 0.01)

    async def broken(*_: object) -> None:
        raise ValueError("an environment that no guest takes")

    with monkeypatch.context() as mistake:
        mistake.setattr(SimulatedGuestShell, "run", broken)
        running = asyncio.create_task(site.run(site.command("true", timeout_s=5)))
        await asyncio.sleep(0.1)
        assert not running.done(), "it may be running until its time is over"
        site.world.clock.advance(5 + LOST_AFTER_S)
        job, *_ = await running

    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code) == ("done", None)
    assert job.finished.error == "the service could not run it"


async def test_a_command_whose_output_cannot_be_kept_ends_past_its_deadline(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_large(*_: object) -> None:
        raise TooLargeToStore("too large")

    with monkeypatch.context() as mistake:
        mistake.setattr(MemoryJobOutputs, "keep", too_large)
        command = site.command("echo out", timeout_s=5)
        with pytest.raises(TooLargeToStore):
            await site.run(command)
        site.world.clock.advance(5 + LOST_AFTER_S)
        job, *_ = await site.run(command)

    assert job.finished is not None
    assert (job.finished.exit_code, job.finished.error) == (None, "its output could not be kept")
