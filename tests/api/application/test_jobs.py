"""A command's end is recorded, whoever awaited it, and whatever became of its guest."""

import asyncio
from collections.abc import AsyncIterator, Collection

import msgspec
import pytest

from adapters.postgres.blobs import PostgresBlobs
from adapters.simulated.faults import SimulatedCrash
from adapters.simulated.guest_shell import SimulatedGuestShell
from api.application.blobs import sweep_blobs
from api.application.fail_points import armed
from api.application.jobs import LOST_AFTER_S, collect_job, input_texts, output_text, request_job, run_job
from api.application.worker_context import WorkerContext
from domain.blobs import INLINE_BYTES_MAX, Blob
from domain.compute.ports import GuestAddress, GuestUnreachable, JobOutcome, JobSpec
from domain.compute.vps import VpsNotRunning
from domain.errors import Invalid
from domain.exec import job as jobs
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished, JobRequested
from domain.exec.job import Job
from domain.ids import JobId, StreamId, VpsId, job_stream
from domain.ports import Append, Appended, TooLargeToStore
from tests.api.compute_world import IDS, WAIT_S, Life, World, Worlds, until

pytestmark = pytest.mark.anyio


class Site:
    """A world with one VPS that runs."""

    def __init__(self, world: World, worker: WorkerContext, vps_id: VpsId) -> None:
        self.world, self.worker, self.vps_id = world, worker, vps_id

    def command(self, text: str, timeout_s: int = 30) -> RunJob:
        return RunJob(
            job_id=JobId(IDS.new()),
            account_id=self.world.account_id,
            vps_id=self.vps_id,
            command=text,
            timeout_s=timeout_s,
        )

    async def run(self, command: RunJob, worker: WorkerContext | None = None) -> tuple[Job, str, str]:
        worker = worker or self.worker
        job = await run_job(worker, command, self.world.context("exec"), timeout_s_max=600)
        return job, *await output_text(worker, job)

    async def holds(self, stream: StreamId) -> bool:
        """Return whether anything is kept of a job."""
        return bool(await self.world.blobs.find(stream, ("command", "env", "stdin", "stdout", "stderr")))


@pytest.fixture
async def site(worlds: Worlds) -> AsyncIterator[Site]:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        yield Site(world, worker, vps_id)


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

    kept = await site.world.blobs.find(job_stream(job.job_id), ("stdout", "stderr"))
    assert kept.keys() == {"stdout", "stderr"}
    assert "secret" not in kept["stdout"]


async def test_the_same_job_asked_for_again_is_the_same_answer_and_runs_once(site: Site) -> None:
    command = site.command("echo once >> /tmp/file; cat /tmp/file")
    first = await site.run(command)
    again = await site.run(command, site.world.worker())

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

    async with asyncio.timeout(WAIT_S):
        while not await site.holds(job_stream(command.job_id)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    job = await collect_job(site.worker, command.job_id)
    assert len(await site.world.events(JobFinished)) == 1
    assert await output_text(site.worker, job) == ("done\n", "")


async def test_a_job_that_never_began_is_not_begun_long_after_its_time(site: Site) -> None:
    command = site.command("echo too late")
    await request_job(site.worker, command, site.world.context("exec"), timeout_s_max=600)
    site.world.clock.advance(3600)

    job = await collect_job(site.worker, command.job_id)

    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code) == ("cancelled", None)
    assert await output_text(site.worker, job) == ("", "")


async def test_a_job_that_took_long_leaves_no_lease(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.application.jobs.LEASED_AFTER_S", 0)
    running = asyncio.create_task(site.run(command := site.command("sleep 10")))
    await asyncio.sleep(0.02)
    site.world.clock.advance(11)
    await asyncio.wait_for(running, 10)

    assert not await site.world.leased("job", command.job_id)


@pytest.mark.parametrize(("verb", "error"), [("stop", "the vps was stopped"), ("delete", "the vps was deleted")])
async def test_a_job_whose_vps_goes_away_is_over_without_an_exit_code(site: Site, verb: str, error: str) -> None:
    running = asyncio.create_task(site.run(site.command("sleep 60")))
    await asyncio.sleep(0.02)
    await site.world.ask(site.worker, verb, site.vps_id)

    job, stdout, _ = await asyncio.wait_for(running, 10)
    assert job.finished is not None
    assert (job.finished.end, job.finished.exit_code, job.finished.error, stdout) == ("done", None, error, "")


async def test_a_stopped_vps_runs_no_command(site: Site) -> None:
    await site.world.ask(site.worker, "stop", site.vps_id)

    with pytest.raises(VpsNotRunning):
        await site.run(site.command("true"))


async def test_a_time_limit_over_the_maximum_is_refused(site: Site) -> None:
    with pytest.raises(Invalid):
        await site.run(site.command("true", timeout_s=601))


async def test_erased_output_reads_as_nothing(site: Site) -> None:
    job, *_ = await site.run(site.command("echo gone"))
    await site.worker.sealer.erase(site.world.account_id)

    assert await site.holds(job_stream(job.job_id))
    assert await output_text(site.worker, job) == ("", "")


async def test_a_command_at_which_something_unforeseen_happens_each_time_ends_past_its_deadline(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.application.jobs.RETRY_S", 0.01)
    monkeypatch.setattr("api.application.jobs.UNFORESEEN_RETRY_S_MAX", 0.01)

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
        mistake.setattr(PostgresBlobs, "keep", too_large)
        command = site.command("echo out", timeout_s=5)
        with pytest.raises(TooLargeToStore):
            await site.run(command)
        site.world.clock.advance(5 + LOST_AFTER_S)
        job, *_ = await site.run(command)

    assert job.finished is not None
    assert (job.finished.exit_code, job.finished.error) == (None, "its output could not be kept")


async def test_what_a_command_reads_is_kept_beside_its_event_and_read_by_it(site: Site) -> None:
    command = msgspec.structs.replace(site.command("cat"), stdin="a secret\n")
    job, stdout, _ = await site.run(command)

    [requested] = await site.world.events(JobRequested)
    assert isinstance(requested, JobRequested)
    assert isinstance(requested.stdin, Blob)
    assert requested.stdin == job.stdin
    assert (requested.stdin.size_bytes, stdout) == (9, "a secret\n")


async def test_a_large_command_and_environment_are_kept_beside_their_event(site: Site) -> None:
    large = "x" * INLINE_BYTES_MAX
    command = msgspec.structs.replace(site.command(f"echo {large}; echo $LARGE"), env={"LARGE": large})
    job, stdout, _ = await site.run(command)

    assert isinstance(job.command, Blob)
    assert isinstance(job.env, Blob)
    assert stdout == f"{large}\n" * 2
    assert await input_texts(site.worker, job) == jobs.texts_of(command)
    for recorded in await site.world.store.read_feed(0, 1_000):
        assert len(recorded.payload) < INLINE_BYTES_MAX


async def test_of_a_command_that_is_refused_nothing_is_kept(site: Site) -> None:
    command = msgspec.structs.replace(site.command("cat", timeout_s=601), stdin="too long")
    with pytest.raises(Invalid):
        await site.run(command)

    assert not await site.holds(job_stream(command.job_id))


async def test_what_was_kept_for_a_command_that_was_never_recorded_is_swept(site: Site) -> None:
    life = Life()
    command = msgspec.structs.replace(site.command("cat"), stdin="in")
    with armed("exec:after-blobs", life.crash), pytest.raises(SimulatedCrash):
        await site.run(command, site.world.worker(life))
    kept, other = job_stream(command.job_id), msgspec.structs.replace(site.command("cat"), stdin="other")
    await site.run(other)
    assert await site.holds(kept)
    site.world.clock.advance(3_601)

    await sweep_blobs(site.worker.blobs)

    assert not await site.holds(kept)
    assert await site.holds(job_stream(other.job_id))


async def test_what_a_command_reads_is_there_though_its_event_was_held_up_until_it_was_swept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = site.world.store.append

    async def held_up(wanted: Append) -> Appended:
        site.world.clock.advance(3_601)
        await sweep_blobs(site.worker.blobs)
        appended: Appended = await append(wanted)
        return appended

    command = msgspec.structs.replace(site.command("cat"), stdin="in")
    with monkeypatch.context() as sleep:
        sleep.setattr(site.world.store, "append", held_up)
        job = await request_job(site.worker, command, site.world.context("exec"), timeout_s_max=600)

    assert (await input_texts(site.worker, job))["stdin"] == "in"


async def test_a_command_whose_end_is_recorded_while_its_input_is_read_is_not_run_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, reads, go_on = site.world.blobs.find, 0, asyncio.Event()

    async def slow_at_first(stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        nonlocal reads
        reads += 1
        if reads == 1:
            await go_on.wait()
        return await find(stream, fields)

    command = msgspec.structs.replace(site.command("echo once >> /tmp/file"), stdin="in")
    await request_job(site.worker, command, site.world.context("exec"), timeout_s_max=600)
    with monkeypatch.context() as meddling:
        meddling.setattr(site.world.blobs, "find", slow_at_first)
        slow = asyncio.create_task(collect_job(site.worker, command.job_id))
        await until(lambda: reads == 1)
        await collect_job(site.world.worker(), command.job_id)
        [guest] = site.world.host.guests.values()
        await until(lambda: command.job_id not in guest.jobs)
        go_on.set()
        await slow

    assert (await site.run(site.command("cat /tmp/file")))[1] == "once\n"


async def test_what_a_command_reads_is_read_once_however_often_its_guest_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.application.jobs.RETRY_S", 0.01)
    find, run, reads, tries = site.world.blobs.find, SimulatedGuestShell.run, 0, 0

    async def counted(stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        nonlocal reads
        reads += "stdin" in fields
        return await find(stream, fields)

    async def unreachable_at_first(shell: SimulatedGuestShell, address: GuestAddress, spec: JobSpec) -> JobOutcome:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise GuestUnreachable("nothing answers")
        return await run(shell, address, spec)

    command = msgspec.structs.replace(site.command("cat"), stdin="in")
    with monkeypatch.context() as meddling:
        meddling.setattr(site.world.blobs, "find", counted)
        meddling.setattr(SimulatedGuestShell, "run", unreachable_at_first)
        _, stdout, _ = await site.run(command)

    assert (tries, reads, stdout) == (5, 1, "in")


@pytest.mark.parametrize("damage", ["taken out", "of another command"])
async def test_a_command_whose_input_is_not_what_was_asked_for_is_not_run(
    site: Site, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    find = site.world.blobs.find

    async def damaged(stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        found = await find(stream, fields)
        return {} if damage == "taken out" else {field: sealed[:-1] for field, sealed in found.items()}

    command = msgspec.structs.replace(site.command("touch /tmp/ran; cat"), stdin="in")
    with monkeypatch.context() as meddling:
        meddling.setattr(site.world.blobs, "find", damaged)
        job = await run_job(site.worker, command, site.world.context("exec"), timeout_s_max=600)

    assert job.finished is not None
    assert (job.finished.exit_code, job.finished.error) == (None, "its input could not be read")
    assert (await site.run(site.command("ls /tmp/ran")))[0].finished.exit_code != 0  # type: ignore[union-attr]
