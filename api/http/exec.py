"""Commands over HTTP: run in a VPS, awaited, and told as they came out."""

import asyncio
from uuid import UUID

import msgspec

from api.application import jobs as job_steps
from api.application.refusals import CommandTimedOut, Ending
from api.http.bridge import Answer, Call, Endpoint, Told, claim_of, find_kept, told
from api.http.exec_bodies import Command, CommandDone, JobTold
from api.http.pipeline.idempotency import REPLAYED
from api.http.rendering import optional_time
from domain.compute.vps import VpsNotRunning, owned, vps_ref
from domain.errors import Contended, NotFound
from domain.exec.commands import RunJob
from domain.exec.job import Job, job_ref
from domain.ids import JobId, VpsId
from domain.ports import Claim, ClaimTaken
from domain.settings.settings import SETTINGS_REF
from domain.time import to_rfc3339
from domain.wallet.wallet import wallet_ref

BODY_BYTES_MAX = 1024 * 1024
GIVE_UP_S = 2.0
"""How long giving up on a job may take when the service ends."""


async def exec_command(call: Call) -> Answer:
    """Run a command and tell its output and exit code; under a key, a repeat picks up the same run."""
    begun = await _begun_before(call)
    replayed = begun is not None
    if begun is None:
        try:
            begun = await _begin(call)
        except ClaimTaken:
            # The same request came twice at once: both wait for the one run.
            begun, replayed = await _begun_before(call), True
            assert begun is not None, "what is claimed is kept"
    call.let_go_of_body()
    return await _ended(call, begun, replayed=replayed)


async def get_job(call: Call) -> Answer:
    """Tell a command and what came of it so far."""
    job_id = JobId(call.id_in_path("job_id"))
    ref = job_ref(job_id)
    job = (await call.runtime.aggregates.load(ref)).of(ref)
    if job is None or job.account_id != call.account_id:
        raise NotFound
    vps = vps_ref(job.vps_id)
    owned((await call.runtime.aggregates.load(vps)).of(vps), call.account_id)
    stdout, stderr = await job_steps.output_text(call.runtime.worker, job)
    command = await job_steps.command_text(call.runtime.worker, job)
    end = job.finished
    return told(
        200,
        JobTold(
            id=job_id,
            vps_id=job.vps_id,
            command=command,
            status=job.status,
            stdout=stdout if end else "",
            stderr=stderr if end else "",
            exit_code=end.exit_code if end else None,
            duration_ms=end.duration_ms if end else None,
            created_at=to_rfc3339(job.requested_at),
            started_at=to_rfc3339(job.requested_at),
            finished_at=optional_time(end.at if end else None),
            timeout_seconds=job.timeout_s,
            truncated=end.truncated if end else False,
            error=end.error if end else None,
        ),
    )


async def _begin(call: Call) -> JobId:
    """Record that the command is to run. Raises what ``request_job`` raises."""
    body: Command = call.body
    settings = (await call.runtime.aggregates.load(SETTINGS_REF)).of(SETTINGS_REF)
    command = RunJob(
        job_id=JobId(call.runtime.ids.new()),
        account_id=call.account_id,
        vps_id=VpsId(call.id_in_path("vps_id")),
        token_id=call.token_id,
        command=body.command,
        timeout_s=body.timeout_seconds,
        cwd=body.cwd,
        env=body.env,
        stdin=body.stdin,
        user=body.user,
    )
    job = await job_steps.request_job(
        call.runtime.worker,
        command,
        call.context("exec"),
        timeout_s_max=settings.exec_max_timeout_seconds,
        claims=await _claims(call, command.job_id),
    )
    return job.job_id


async def _ended(call: Call, job_id: JobId, *, replayed: bool) -> Answer:
    job = await _collected(call, job_id)
    done = await _done(call, job)
    # Minutes may have been paid while the command ran.
    wallet = wallet_ref(call.account_id)
    call.wallet = (await call.runtime.aggregates.load(wallet)).of(wallet)
    call.balance = call.wallet.balance
    assert job.finished is not None
    if job.finished.end == "timeout":
        beside = msgspec.to_builtins(done)
        del beside["error"]  # It is the refusal's own.
        raise CommandTimedOut(**beside)
    headers = (REPLAYED,) if replayed else ()
    return told(200, done, *headers)


async def _collected(call: Call, job_id: JobId) -> Job:
    """Wait for the end of a job. Raises Ending where the service ends before it; the job goes on in the guest."""
    collecting = asyncio.ensure_future(job_steps.collect_job(call.runtime.worker, job_id))
    ending = asyncio.ensure_future(call.runtime.ending.wait())
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


async def _done(call: Call, job: Job) -> CommandDone:
    assert job.finished is not None, "a job that was collected has ended"
    stdout, stderr = await job_steps.output_text(call.runtime.worker, job)
    return CommandDone(
        stdout=stdout,
        stderr=stderr,
        exit_code=job.finished.exit_code,
        duration_ms=job.finished.duration_ms,
        job_id=job.job_id,
        truncated=job.finished.truncated,
        error=job.finished.error,
    )


async def _begun_before(call: Call) -> JobId | None:
    kept = await find_kept(call)
    return None if kept is None else JobId(UUID(kept.body.decode()))


async def _claims(call: Call, job_id: JobId) -> tuple[Claim, ...]:
    if call.idempotency_key is None:
        return ()
    await call.runtime.sealer.load([call.account_id], create=True)
    # What is kept is not the answer but the job: whoever repeats the request resumes it.
    return (claim_of(call, Answer(200, str(job_id).encode()), call.runtime.clock.now()),)


_ENDED = (
    "The command has ended, with whatever exit code; of one that a signal ended it is 128 + the signal's number."
    " Where nobody can know how it ended, since the VPS was stopped, restarted or deleted meanwhile or did not answer"
    " any more, `exit_code` is null and `error` says why; otherwise `error` is null."
)
_DONE_EXAMPLE = {
    "stdout": "Linux web-01 6.1.0-40-cloud-amd64 x86_64 GNU/Linux\n",
    "stderr": "",
    "exit_code": 0,
    "duration_ms": 12,
    "job_id": "01937b1e-5c00-7000-8000-000000000004",
    "truncated": False,
    "error": None,
}

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/vps/{vps_id}/exec",
        name="exec_command",
        tag="exec",
        summary="Run a command in a VPS",
        description=(
            "Answers when the command has ended. Past its time limit it is killed with everything that it"
            " started, and the answer is a 504 with the output so far."
        ),
        who="account",
        scope="exec",
        handle=exec_command,
        body=Command,
        body_bytes_max=BODY_BYTES_MAX,
        body_example={"command": "uname -a", "timeout_seconds": 30},
        told=(Told(200, _ENDED, CommandDone, _DONE_EXAMPLE),),
        refusals=(NotFound, VpsNotRunning, CommandTimedOut, Contended, Ending),
    ),
    Endpoint(
        method="GET",
        path="/api/jobs/{job_id}",
        name="get_job",
        tag="exec",
        summary="What came of this command",
        who="account",
        scope="exec",
        handle=get_job,
        told=(
            Told(
                200,
                "The command, and its output once it has ended.",
                JobTold,
                {
                    "id": _DONE_EXAMPLE["job_id"],
                    "vps_id": "01937b1e-5c00-7000-8000-000000000003",
                    "command": "uname -a",
                    "status": "done",
                    "stdout": _DONE_EXAMPLE["stdout"],
                    "stderr": "",
                    "exit_code": 0,
                    "duration_ms": 12,
                    "created_at": "2026-11-23T17:00:20Z",
                    "started_at": "2026-11-23T17:00:20Z",
                    "finished_at": "2026-11-23T17:00:20.031Z",
                    "timeout_seconds": 30,
                    "truncated": False,
                    "error": None,
                },
            ),
        ),
        refusals=(NotFound,),
    ),
)
