"""A job is recorded before it runs, ends once, and cannot outlive the start of its VPS."""

from uuid import UUID

import msgspec
import pytest

from domain.blobs import Blob, KeptBlob, OffloadedText
from domain.compute.output import whole_output
from domain.compute.ports import JobOutcome
from domain.compute.vps import Vps, VpsNotRunning
from domain.errors import NotFound
from domain.exec import job as jobs
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished, JobRequested
from domain.exec.job import Job
from domain.ids import AccountId, JobId, job_stream
from tests.domain.compute.lives import ACCOUNT, VPS, at, vps_in

COMMAND = RunJob(
    job_id=JobId(UUID(int=5)), account_id=ACCOUNT, vps_id=VPS, command="uname -a", timeout_s=30, env={"A": "1"}
)


def request(command: RunJob = COMMAND, vps: Vps | None = None, job: Job | None = None) -> tuple[object, ...]:
    return jobs.request(job, vps or vps_in("running"), command, timeout_s_max=600, now=at(20))


def requested() -> Job:
    (event,) = request()
    assert isinstance(event, JobRequested)
    job = jobs.evolve(None, event)
    assert job is not None
    return job


def ended(**changes: object) -> JobOutcome:
    outcome = JobOutcome(
        exit_code=0,
        timed_out=False,
        cancelled=False,
        duration_ms=12,
        stdout=whole_output(b"Linux\n", 100),
        stderr=whole_output(b"", 100),
    )
    return msgspec.structs.replace(outcome, **changes)


def test_a_command_is_recorded_before_it_runs() -> None:
    (event,) = request()

    assert isinstance(event, JobRequested)
    assert (event.command, event.timeout_seconds, event.env, event.generation) == ("uname -a", 30, '{"A":"1"}', 1)


def test_what_is_kept_beside_the_event_is_only_told_of_in_it() -> None:
    stdin = OffloadedText(Blob(7, "c0ffee"), KeptBlob(job_stream(COMMAND.job_id), "stdin", ACCOUNT, "sealed"))
    command = msgspec.structs.replace(COMMAND, stdin="a secret")

    (event,) = jobs.request(None, vps_in("running"), command, timeout_s_max=600, now=at(20), offloaded={"stdin": stdin})

    assert isinstance(event, JobRequested)
    assert (event.command, event.stdin) == ("uname -a", stdin.blob)


def test_a_command_asked_for_twice_is_recorded_once() -> None:
    assert request(job=requested()) == ()


@pytest.mark.parametrize("point", ["requested", "stopping", "stopped", "starting", "failed"])
def test_a_command_needs_a_vps_that_runs(point: str) -> None:
    with pytest.raises(VpsNotRunning):
        request(vps=vps_in(point))


def test_a_command_in_a_vps_that_is_gone_or_another_s_is_not_found() -> None:
    with pytest.raises(NotFound):
        request(vps=vps_in("deleting"))
    with pytest.raises(NotFound):
        request(msgspec.structs.replace(COMMAND, account_id=AccountId(UUID(int=99))))


def test_the_end_tells_the_whole_truth_of_the_output() -> None:
    (event,) = jobs.finish(requested(), ended(), at(21))

    assert isinstance(event, JobFinished)
    assert (event.end, event.exit_code, event.stdout_bytes, event.truncated) == ("done", 0, 6, False)
    assert event.stdout_sha256 == whole_output(b"Linux\n", 100).sha256


@pytest.mark.parametrize(("flag", "end"), [("timed_out", "timeout"), ("cancelled", "cancelled")])
def test_a_job_that_did_not_end_by_itself_says_why(flag: str, end: str) -> None:
    (event,) = jobs.finish(requested(), ended(exit_code=None, **{flag: True}), at(21))

    assert isinstance(event, JobFinished)
    assert event.end == end


def test_a_job_ends_once() -> None:
    job = requested()
    finished = jobs.evolve(job, *jobs.finish(job, ended(), at(21)))

    assert finished is not None
    assert jobs.finish(finished, ended(exit_code=1), at(22)) == ()
    assert finished.status == "done"


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("running", None),
        ("restarting", None),
        ("stopping", None),
        ("stopped", "the vps was stopped"),
        ("starting", "the vps was stopped"),
        ("deleting", "the vps was deleted"),
    ],
)
def test_a_job_cannot_outlive_the_start_of_its_vps(point: str, reason: str | None) -> None:
    assert jobs.outlived(requested(), vps_in(point)) == reason


def test_a_lost_job_is_over_without_an_exit_code() -> None:
    (event,) = jobs.finish(requested(), jobs.lost_outcome(requested(), "the vps was stopped", at(23)), at(23))

    assert isinstance(event, JobFinished)
    assert (event.end, event.exit_code, event.error, event.duration_ms) == ("done", None, "the vps was stopped", 3000)


def test_the_guest_is_told_the_job_as_it_was_asked_for() -> None:
    spec = jobs.spec_of(requested(), jobs.texts_of(COMMAND), 1000, at(27.5))

    assert (spec.job_id, spec.command, spec.timeout_s, spec.env) == (COMMAND.job_id, "uname -a", 30, {"A": "1"})
    assert spec.age_s == 7.5
