"""A job: a command that runs in a guest, from its request to its end."""

import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from domain.blobs import Blob, OffloadedText
from domain.compute.ports import JobOutcome, JobSpec, StreamOutput
from domain.compute.vps import Vps, VpsNotRunning, owned
from domain.deciding import AggregateRef, Fold
from domain.errors import Invalid
from domain.events import Event
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished, JobRequested
from domain.exec.limits import wrong_fields
from domain.ids import AccountId, JobId, VpsId, job_stream
from domain.time import MICROSECONDS_PER_SECOND, Instant

Status = Literal["pending", "running", "done", "timeout", "cancelled"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that its events tell of a job; its output is kept elsewhere."""

    job_id: JobId
    account_id: AccountId
    vps_id: VpsId
    generation: int
    command: str | Blob
    timeout_s: int
    background: bool
    requested_at: Instant
    cwd: str | None
    env: str | Blob | None
    """JSON object of strings."""
    stdin: str | Blob | None
    user: str | None
    finished: JobFinished | None = None

    @property
    def status(self) -> Status:
        """Return how far it is."""
        return self.finished.end if self.finished else "running"


def evolve(job: Job | None, event: Event) -> Job | None:
    """Return the job after an event of its stream."""
    match event:
        case JobRequested():
            return Job(
                job_id=event.job_id,
                account_id=event.account_id,
                vps_id=event.vps_id,
                generation=event.generation,
                command=event.command,
                timeout_s=event.timeout_seconds,
                background=event.background,
                requested_at=event.requested_at,
                cwd=event.cwd,
                env=event.env,
                stdin=event.stdin,
                user=event.user,
            )
        case JobFinished() if job is not None:
            return msgspec.structs.replace(job, finished=event)
        case _:
            return job


def has_ended(job: Job | None) -> bool:
    """Return whether nothing more can come of a job."""
    return job is not None and job.finished is not None


FOLD: Fold[Job | None] = Fold(initial=None, evolve=evolve, has_ended=has_ended)


def job_ref(job_id: JobId) -> AggregateRef[Job | None]:
    """Return the reference of a job."""
    return AggregateRef(job_stream(job_id), FOLD)


def texts_of(command: RunJob) -> dict[str, str | None]:
    """Return by field of the event what of a command may be too large for it."""
    env = msgspec.json.encode(command.env).decode() if command.env else None
    return {"command": command.command, "env": env, "stdin": command.stdin}


def request(
    job: Job | None,
    vps: Vps | None,
    command: RunJob,
    *,
    timeout_s_max: int,
    now: Instant,
    offloaded: Mapping[str, OffloadedText] = MappingProxyType({}),
) -> tuple[Event, ...]:
    """Return what is recorded before a command reaches the guest; nothing where it was before.

    ``offloaded``: by field, which of its texts are kept beside the event. Raises Invalid, NotFound, VpsNotRunning.
    """
    if job is not None and job.account_id == command.account_id:
        return ()
    if fields := wrong_fields(command, timeout_s_max):
        raise Invalid(fields=fields)
    vps = owned(vps, command.account_id)
    if not vps.usable:
        raise VpsNotRunning
    told = {field: one.blob for field, one in offloaded.items()}
    return (
        JobRequested(
            job_id=command.job_id,
            account_id=command.account_id,
            vps_id=command.vps_id,
            token_id=command.token_id,
            generation=vps.generation,
            requested_at=now,
            command=told.get("command", command.command),
            timeout_seconds=command.timeout_s,
            background=False,
            cwd=command.cwd,
            env=told.get("env", texts_of(command)["env"]),
            stdin=told.get("stdin", command.stdin),
            user=command.user,
        ),
    )


def finish(job: Job, outcome: JobOutcome, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once a command is over; nothing where that is recorded already."""
    if job.finished is not None:
        return ()
    return (
        JobFinished(
            job_id=job.job_id,
            account_id=job.account_id,
            vps_id=job.vps_id,
            end="cancelled" if outcome.cancelled else "timeout" if outcome.timed_out else "done",
            exit_code=outcome.exit_code,
            duration_ms=outcome.duration_ms,
            stdout_bytes=outcome.stdout.size_bytes,
            stdout_sha256=outcome.stdout.sha256,
            stderr_bytes=outcome.stderr.size_bytes,
            stderr_sha256=outcome.stderr.sha256,
            truncated=outcome.stdout.truncated or outcome.stderr.truncated,
            error=outcome.error,
            at=now,
        ),
    )


def spec_of(job: Job, texts: Mapping[str, str | None], output_limit_bytes: int, now: Instant) -> JobSpec:
    """Return the job as the guest's shell is told of it. ``texts``: command, env and stdin, wherever they are kept."""
    command, env = texts["command"], texts["env"]
    assert command is not None, "every job has a command"
    return JobSpec(
        job_id=job.job_id,
        command=command,
        timeout_s=job.timeout_s,
        output_limit_bytes=output_limit_bytes,
        cwd=job.cwd,
        env=msgspec.json.decode(env, type=dict[str, str]) if env else {},
        stdin=texts["stdin"],
        user=job.user,
        age_s=max(0, now - job.requested_at) / MICROSECONDS_PER_SECOND,
    )


def lost_outcome(job: Job, error: str, now: Instant) -> JobOutcome:
    """Return how a job ended whose guest is gone: nobody knows."""
    nothing = StreamOutput(text=b"", size_bytes=0, sha256=hashlib.sha256(b"").hexdigest(), truncated=False)
    return JobOutcome(
        exit_code=None,
        timed_out=False,
        cancelled=False,
        duration_ms=max(0, now - job.requested_at) // 1000,
        stdout=nothing,
        stderr=nothing,
        error=error,
    )


def outlived(job: Job, vps: Vps | None) -> str | None:
    """Return why a job cannot be running any more, None where it may be."""
    if vps is None or vps.gone:
        return "the vps was deleted"
    if vps.generation != job.generation or vps.power != "up":
        return "the vps was stopped"
    return None
