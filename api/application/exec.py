"""Commands in VPSs, whoever asks: run, awaited, and told as they came out."""

import asyncio

import msgspec

from api.application import jobs
from api.application.caller import Caller
from api.application.once import OnceBegun, Unkept
from api.application.refusals import CommandTimedOut, Ending
from api.application.runtime import Runtime
from domain.compute.vps import owned, vps_ref
from domain.errors import Contended, NotFound
from domain.exec.commands import RunJob
from domain.exec.events import JobFinished
from domain.exec.job import Job, job_ref
from domain.ids import JobId, VpsId
from domain.ports import ClaimTaken
from domain.settings.settings import SETTINGS_REF
from domain.wallet.wallet import Wallet, wallet_ref

GIVE_UP_S = 2.0
"""How long giving up on a job may take when the service ends."""


class GuestCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A shell command, and how it is to be run."""

    vps_id: VpsId
    command: str
    timeout_s: int
    cwd: str | None = None
    env: dict[str, str] = {}
    stdin: str | None = None
    user: str | None = None


class BegunCommand(msgspec.Struct, frozen=True):
    """A command that was recorded as one to run."""

    job_id: JobId
    is_resumed: bool
    """Whether the same command had begun it before."""


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """A command that has ended."""

    job_id: JobId
    end: JobFinished
    stdout: str
    stderr: str
    wallet: Wallet
    """The account's at the end: minutes may have been paid while the command ran."""

    def check(self) -> None:
        """Raise CommandTimedOut, with the output so far, where it was killed at its time limit."""
        if self.end.end == "timeout":
            raise CommandTimedOut(
                stdout=self.stdout,
                stderr=self.stderr,
                exit_code=self.end.exit_code,
                duration_ms=self.end.duration_ms,
                job_id=str(self.job_id),
                truncated=self.end.truncated,
            )


class JobOutput(msgspec.Struct, frozen=True):
    """A job, and what came of it so far."""

    job: Job
    command: str
    stdout: str
    stderr: str


async def begin_command(
    runtime: Runtime, caller: Caller, wanted: GuestCommand, once: OnceBegun | None = None
) -> BegunCommand:
    """Record that a command is to run in a VPS; sent again, it is the run that was begun before.

    Raises Invalid, NotFound, VpsNotRunning or Contended.
    """
    kept = Unkept() if once is None else once
    begun = await kept.begun()
    if begun is not None:
        return BegunCommand(JobId(begun), is_resumed=True)
    settings = (await runtime.aggregates.load(SETTINGS_REF)).of(SETTINGS_REF)
    command = RunJob(
        job_id=JobId(runtime.ids.new()),
        account_id=caller.account_id,
        vps_id=wanted.vps_id,
        token_id=caller.token_id,
        command=wanted.command,
        timeout_s=wanted.timeout_s,
        cwd=wanted.cwd,
        env=wanted.env,
        stdin=wanted.stdin,
        user=wanted.user,
    )
    try:
        await jobs.request_job(
            runtime.worker,
            command,
            caller.context("exec"),
            timeout_s_max=settings.exec_max_timeout_seconds,
            claims=await kept.claims(command.job_id),
        )
    except ClaimTaken:
        # The same command came twice at once: both wait for the one run.
        begun = await kept.begun()
        if begun is None:
            raise Contended from None
        return BegunCommand(JobId(begun), is_resumed=True)
    return BegunCommand(command.job_id, is_resumed=False)


async def await_command(runtime: Runtime, caller: Caller, job_id: JobId) -> CommandRun:
    """Return a command that was begun once it has ended, in whatever way.

    It needs nothing of what the command was given, which may be large: hundreds may wait at once. Raises Ending where
    the service ends before the command: then it goes on in the guest.
    """
    job = await _collected(runtime, job_id)
    assert job.finished is not None, "a job that was collected has ended"
    stdout, stderr = await jobs.output_text(runtime.worker, job)
    wallet = wallet_ref(caller.account_id)
    return CommandRun(
        job_id=job.job_id,
        end=job.finished,
        stdout=stdout,
        stderr=stderr,
        wallet=(await runtime.aggregates.load(wallet)).of(wallet),
    )


async def get_job(runtime: Runtime, caller: Caller, job_id: JobId) -> JobOutput:
    """Return a command and what came of it so far; its output once it has ended. Raises NotFound."""
    ref = job_ref(job_id)
    job = (await runtime.aggregates.load(ref)).of(ref)
    if job is None or job.account_id != caller.account_id:
        raise NotFound
    vps = vps_ref(job.vps_id)
    owned((await runtime.aggregates.load(vps)).of(vps), caller.account_id)
    stdout, stderr = await jobs.output_text(runtime.worker, job)
    command = await jobs.command_text(runtime.worker, job)
    has_ended = job.finished is not None
    return JobOutput(job, command, stdout if has_ended else "", stderr if has_ended else "")


async def _collected(runtime: Runtime, job_id: JobId) -> Job:
    """Wait for the end of a job. Raises Ending where the service ends before it; the job goes on in the guest."""
    collecting = asyncio.ensure_future(jobs.collect_job(runtime.worker, job_id))
    ending = asyncio.ensure_future(runtime.ending.wait())
    try:
        # Not cancelled with this call: the run goes on, and its end is recorded, even if the client hangs up.
        await asyncio.wait([collecting, ending], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
    if not collecting.done():
        # Given up in order, so that a worker finds it free.
        collecting.cancel()
        await asyncio.wait([collecting], timeout=GIVE_UP_S)
    if collecting.cancelled() or not collecting.done():
        raise Ending(job_id=str(job_id))
    return collecting.result()
