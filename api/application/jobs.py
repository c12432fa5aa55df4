"""Jobs: a command is recorded, run in its guest, and its end recorded; by whoever is there to do it."""

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress

import structlog

from api.application.blobs import offloaded_texts, texts_of
from api.application.fail_points import fail_point
from api.application.repository import CommandContext, Loaded
from api.application.worker_context import WorkerContext, address_of
from domain.blobs import Blob, BlobBroken, KeptBlob, opened_blob, sealed_blob
from domain.compute.ports import GuestUnreachable, HostKeyChanged, JobOutcome
from domain.compute.vps import Vps, vps_ref
from domain.deciding import NOTHING, Decision, recorded_in
from domain.errors import Contended
from domain.events import Actor
from domain.exec import job as jobs
from domain.exec.commands import RunJob
from domain.exec.job import Job, job_ref
from domain.ids import JobId, job_stream
from domain.ports import Claim, StoreFailed, StoreUnable, StoreUnavailable
from domain.sealed import AccountIsErased, SealBroken
from domain.time import Instant, seconds

OUTPUT_LIMIT_BYTES = 1024 * 1024
"""Of each stream that is brought back and kept."""
LEASE_S = 30.0
LEASED_AFTER_S = 5.0
"""A job that takes longer is leased by whoever awaits it, so that nobody else collects it meanwhile."""
WATCH_S = 2.0
"""How often it is asked whether the VPS of a job that runs is still there."""
RETRY_S = 0.5
UNFORESEEN_RETRY_S_MAX = 30.0
"""Between two tries of a command at which something fails that nobody foresaw; doubled each time up to this."""
LOST_AFTER_S = 90.0
"""How long past its time limit a job in a guest that cannot be reached is waited for."""

_OUTPUT = ("stdout", "stderr")
"""The fields under which the output of a job is kept beside its events."""

_log = structlog.get_logger(__name__)
_discards: set[asyncio.Task[None]] = set()


async def request_job(
    worker: WorkerContext,
    command: RunJob,
    context: CommandContext,
    *,
    timeout_s_max: int,
    claims: tuple[Claim, ...] = (),
) -> Job:
    """Record that a command is to run, before anything reaches the guest; recorded before, it is the same job.

    Raises Invalid, NotFound, VpsNotRunning; ClaimTaken where one of ``claims`` is.
    """
    job, vps, stream = job_ref(command.job_id), vps_ref(command.vps_id), job_stream(command.job_id)
    # What a command reads is often large, and a secret: it is never in the event.
    offloaded = await offloaded_texts(
        worker.sealer, stream, command.account_id, jobs.texts_of(command), always=("stdin",)
    )

    def decide(loaded: Loaded, now: Instant) -> Decision:
        events = jobs.request(
            loaded.of(job), loaded.of(vps), command, offloaded=offloaded, timeout_s_max=timeout_s_max, now=now
        )
        if not events:
            return NOTHING
        blobs = tuple(one.kept for one in offloaded.values())
        return Decision(events=tuple((stream, event) for event in events), claims=claims, blobs=blobs)

    outcome = await worker.aggregates.execute([job, vps], decide, context)
    requested = outcome.loaded.of(job)
    assert requested is not None
    return requested


async def run_job(
    worker: WorkerContext,
    command: RunJob,
    context: CommandContext,
    *,
    timeout_s_max: int,
    claims: tuple[Claim, ...] = (),
) -> Job:
    """Run a command and await its end; return the finished job.

    Cancelled, or gone with its process, the job goes on in the guest and is collected by a worker. Raises
    what ``request_job`` raises.
    """
    job = await request_job(worker, command, context, timeout_s_max=timeout_s_max, claims=claims)
    return await collect_job(worker, job.job_id)


async def collect_job(worker: WorkerContext, job_id: JobId) -> Job:
    """Wait for a job's end, whoever began it, record it, and return it."""
    job = await _present(worker, job_id)
    if job.finished is None:
        leasing = asyncio.create_task(_hold(worker, job_id))
        try:
            outcome = await _outcome(worker, job)
            job = await _recorded(worker, job, outcome) if outcome is not None else await _present(worker, job_id)
        finally:
            leasing.cancel()
            await asyncio.wait([leasing])
        _discard_later(worker, job)
    return job


async def output_text(worker: WorkerContext, job: Job) -> tuple[str, str]:
    """Return both streams of a job as text; what is no UTF-8 is replaced. Both are "" where nothing is kept."""
    kept = await worker.blobs.find(job_stream(job.job_id), _OUTPUT)
    await worker.sealer.load([job.account_id])
    stdout, stderr = (_opened(worker, job, field, kept.get(field, "")) for field in _OUTPUT)
    return stdout, stderr


async def command_text(worker: WorkerContext, job: Job) -> str:
    """Return the command of a job alone, wherever it is kept. Raises BlobBroken, SealBroken, StoreFailed."""
    return (await _texts(worker, job, {"command": job.command}))["command"] or ""


async def input_texts(worker: WorkerContext, job: Job) -> dict[str, str | None]:
    """Return command, env and stdin of a job, wherever they are kept. Raises BlobBroken, SealBroken, StoreFailed."""
    return await _texts(worker, job, {"command": job.command, "env": job.env, "stdin": job.stdin})


async def _texts(worker: WorkerContext, job: Job, told: dict[str, str | Blob | None]) -> dict[str, str | None]:
    return await texts_of(worker.blobs, worker.sealer, job_stream(job.job_id), job.account_id, told)


async def _outcome(worker: WorkerContext, job: Job) -> JobOutcome | None:
    """Run the job in its guest, or pick it up there, until it is over or cannot be any more.

    None where somebody else has recorded its end meanwhile: asked for once more, the guest might not know it.
    """
    ref, vps_seen = job_ref(job.job_id), vps_ref(job.vps_id)
    pause_s = RETRY_S
    texts: dict[str, str | None] | None = None
    while True:
        loaded = await worker.aggregates.load(ref, vps_seen)
        present, vps = loaded.of(ref), loaded.of(vps_seen)
        if present is not None and present.finished is not None:
            return None
        now = worker.clock.now()
        if (reason := jobs.outlived(job, vps)) is not None or vps is None:
            return jobs.lost_outcome(job, reason or "the vps was deleted", now)
        late = now >= _gives_up_at(job)
        try:
            if texts is None:
                # Once, however often the guest is asked. It may take long: then the job may be over, and is seen anew.
                texts = await input_texts(worker, job)
                continue
            if late:
                # Whoever wanted it has long given up: it is collected if it ever began, and never begun now.
                await worker.shell.cancel(address_of(vps), job.job_id)
            return await _run_watched(worker, job, texts, vps)
        except HostKeyChanged:
            return jobs.lost_outcome(job, "the guest has another host key", now)
        except (BlobBroken, SealBroken):
            _log.exception("input of a command cannot be read", job_id=str(job.job_id))
            return jobs.lost_outcome(job, "its input could not be read", now)
        except GuestUnreachable as problem:
            _log.info("guest of a job is unreachable", job_id=str(job.job_id), problem=str(problem))
            reason, pause_s = "the guest did not answer", RETRY_S
        except StoreFailed:
            raise
        except Exception:  # noqa: BLE001 Whatever it is, it ends once the command can be running no more.
            _log.exception("command failed", job_id=str(job.job_id))
            reason, pause_s = "the service could not run it", min(2 * pause_s, UNFORESEEN_RETRY_S_MAX)
        if late:
            return jobs.lost_outcome(job, reason, now)
        await asyncio.sleep(pause_s)


async def _present(worker: WorkerContext, job_id: JobId) -> Job:
    ref = job_ref(job_id)
    present = (await worker.aggregates.load(ref)).of(ref)
    assert present is not None, "only a job that was recorded is collected"
    return present


async def _run_watched(worker: WorkerContext, job: Job, texts: Mapping[str, str | None], vps: Vps) -> JobOutcome:
    """Await the shell, and give up on it once the VPS is stopped or deleted."""
    fail_point("exec:before-guest")
    spec = jobs.spec_of(job, texts, OUTPUT_LIMIT_BYTES, worker.clock.now())
    running = asyncio.create_task(worker.shell.run(address_of(vps), spec))
    try:
        while not (await asyncio.wait([running], timeout=WATCH_S))[0]:
            if jobs.outlived(job, await worker.vps(job.vps_id)) is not None:
                raise GuestUnreachable("the vps is not there any more")
        outcome = running.result()
    finally:
        running.cancel()
    fail_point("exec:after-guest")
    return outcome


async def _recorded(worker: WorkerContext, job: Job, outcome: JobOutcome) -> Job:
    """Record a job's end; past its deadline without what cannot be kept of it, so that it does end."""
    try:
        await _keep_output(worker, job, outcome)
        return await _record_end(worker, job, outcome)
    except (StoreUnavailable, StoreUnable, Contended):
        raise
    except Exception:
        now = worker.clock.now()
        if now < _gives_up_at(job):
            raise
        _log.exception("output of a command is not kept", job_id=str(job.job_id))
        return await _record_end(worker, job, jobs.lost_outcome(job, "its output could not be kept", now))


def _gives_up_at(job: Job) -> Instant:
    return Instant(job.requested_at + seconds(job.timeout_s + LOST_AFTER_S))


async def _record_end(worker: WorkerContext, job: Job, outcome: JobOutcome) -> Job:
    ref = job_ref(job.job_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        present = loaded.of(ref)
        assert present is not None
        return recorded_in(job_stream(job.job_id), *jobs.finish(present, outcome, now))

    context = CommandContext(actor=Actor(kind="service", part="worker"), account_id=job.account_id, step="exec-end")
    finished = (await worker.aggregates.execute([ref], decide, context)).loaded.of(ref)
    assert finished is not None
    return finished


async def _keep_output(worker: WorkerContext, job: Job, outcome: JobOutcome) -> None:
    await worker.sealer.load([job.account_id], create=True)
    try:
        streams = zip(_OUTPUT, (outcome.stdout, outcome.stderr), strict=True)
        output = [_sealed(worker, job, field, stream.text) for field, stream in streams]
    except AccountIsErased:
        return  # The end of the job is recorded all the same.
    fail_point("exec:before-output")
    await worker.blobs.keep(output)
    fail_point("exec:after-output")


def _sealed(worker: WorkerContext, job: Job, field: str, content: bytes) -> KeptBlob:
    # Sealed text is text; base64 keeps bytes that are none.
    text = base64.b64encode(content).decode()
    return sealed_blob(job_stream(job.job_id), job.account_id, field, text, worker.sealer)


def _opened(worker: WorkerContext, job: Job, field: str, sealed: str) -> str:
    if not sealed:
        return ""
    text = opened_blob(job_stream(job.job_id), job.account_id, field, sealed, worker.sealer)
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return ""  # Erased, with the key of its account.
    return content.decode(errors="replace")


async def _hold(worker: WorkerContext, job_id: JobId) -> None:
    await asyncio.sleep(LEASED_AFTER_S)
    is_taken_here = False
    try:
        while True:
            with suppress(StoreFailed):
                if not await worker.leases.extend("job", job_id, LEASE_S):
                    is_taken_here = await worker.leases.take("job", job_id, LEASE_S) is not None
            await asyncio.sleep(LEASE_S / 3)
    finally:
        # A worker's own lease is given back by the worker, who may want to postpone the job.
        if is_taken_here:
            with suppress(StoreFailed):
                await worker.leases.done("job", job_id)


def _discard_later(worker: WorkerContext, job: Job) -> None:
    """Have the guest forget a job whose end is recorded; nobody waits for that."""

    async def discard() -> None:
        try:
            vps = await worker.vps(job.vps_id)
            if vps is None or jobs.outlived(job, vps) is not None:
                return
            await worker.shell.discard(address_of(vps), job.job_id)
        except (GuestUnreachable, HostKeyChanged, StoreFailed) as problem:
            _log.info("a job is left in its guest", job_id=str(job.job_id), problem=str(problem))

    task = asyncio.create_task(discard())
    _discards.add(task)
    task.add_done_callback(_discards.discard)
