"""The commands that ran in guests, and how they ended; what was typed stays sealed."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from domain.blobs import Blob
from domain.exec.events import JobFinished, JobRequested
from domain.ids import AccountId, JobId, TokenId, VpsId
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE job (
    id uuid PRIMARY KEY,
    vps_id uuid NOT NULL,
    account_id uuid NOT NULL,
    token_id uuid,
    actor_kind text NOT NULL,
    actor_id uuid,
    address text,
    request_id text,
    command text,
    command_bytes bigint,
    command_sha256 text,
    timeout_seconds integer NOT NULL,
    background boolean NOT NULL,
    requested_at bigint NOT NULL,
    position bigint NOT NULL,
    status text NOT NULL,
    exit_code integer,
    duration_ms bigint,
    stdout_bytes bigint,
    stdout_sha256 text,
    stderr_bytes bigint,
    stderr_sha256 text,
    truncated boolean,
    error text,
    finished_at bigint
);
CREATE INDEX job_of_vps ON job (vps_id, position DESC);
CREATE INDEX job_of_account ON job (account_id, position DESC);
CREATE INDEX job_open ON job (requested_at) WHERE status = 'running';
"""
_INSERT = """
    INSERT INTO job (
        id, vps_id, account_id, token_id, actor_kind, actor_id, address, request_id,
        command, command_bytes, command_sha256, timeout_seconds, background, requested_at, position,
        status, exit_code, duration_ms, stdout_bytes, stdout_sha256, stderr_bytes, stderr_sha256,
        truncated, error, finished_at
    )
    SELECT * FROM unnest(
        %b::uuid[], %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::uuid[], %b::text[], %b::text[],
        %b::text[], %b::bigint[], %b::text[], %b::integer[], %b::boolean[], %b::bigint[], %b::bigint[],
        %b::text[], %b::integer[], %b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::text[],
        %b::boolean[], %b::text[], %b::bigint[]
    )
"""
_FINISH = """
    UPDATE job SET
        status = ended.status, exit_code = ended.exit_code, duration_ms = ended.duration_ms,
        stdout_bytes = ended.stdout_bytes, stdout_sha256 = ended.stdout_sha256,
        stderr_bytes = ended.stderr_bytes, stderr_sha256 = ended.stderr_sha256,
        truncated = ended.truncated, error = ended.error, finished_at = ended.finished_at
    FROM unnest(
        %b::uuid[], %b::text[], %b::integer[], %b::bigint[], %b::bigint[], %b::text[], %b::bigint[], %b::text[],
        %b::boolean[], %b::text[], %b::bigint[]
    ) AS ended (
        id, status, exit_code, duration_ms, stdout_bytes, stdout_sha256, stderr_bytes, stderr_sha256,
        truncated, error, finished_at
    )
    WHERE job.id = ended.id
"""
_COUNT_OF_VPS = "SELECT count(*) FROM job WHERE vps_id = %s"
_OF_VPS = """
    SELECT id, vps_id, account_id, token_id, actor_kind, actor_id, address, request_id,
        command, command_bytes, command_sha256, timeout_seconds, background, requested_at,
        status, exit_code, duration_ms, stdout_bytes, stdout_sha256, stderr_bytes, stderr_sha256,
        truncated, error, finished_at
    FROM job WHERE vps_id = %s ORDER BY position DESC LIMIT %s OFFSET %s
"""


class JobRow(msgspec.Struct, frozen=True):
    """One job. What is only known at its end is None before."""

    id: JobId
    vps_id: VpsId
    account_id: AccountId
    token_id: TokenId | None
    actor_kind: str
    actor_id: UUID | None
    address: str | None
    """Sealed."""
    request_id: str | None
    command: str | None
    """Sealed; None where it is kept beside the event."""
    command_bytes: int | None
    """Of one that is kept there, as ``Blob`` tells it."""
    command_sha256: str | None
    timeout_seconds: int
    background: bool
    requested_at: Instant
    status: str
    exit_code: int | None
    duration_ms: int | None
    stdout_bytes: int | None
    stdout_sha256: str | None
    stderr_bytes: int | None
    stderr_sha256: str | None
    truncated: bool | None
    error: str | None
    finished_at: Instant | None


async def jobs_of_vps(connection: Connection, vps_id: VpsId, limit: int, offset: int) -> tuple[list[JobRow], int]:
    """Return the jobs of a VPS, newest first, and how many it has in all."""
    counted = await (await connection.execute(_COUNT_OF_VPS, [vps_id])).fetchone()
    assert counted is not None
    cursor = await connection.execute(_OF_VPS, [vps_id, limit, offset])
    return [JobRow(*row) for row in await cursor.fetchall()], counted[0]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    requested: dict[JobId, tuple[object, ...]] = {}
    ended: dict[JobId, tuple[object, ...]] = {}
    for entry in batch:
        match entry.event:
            case JobRequested() as job:
                requested[job.job_id] = _requested(job, entry)
            case JobFinished() as end:
                ended[end.job_id] = _ended(end)
    if requested:
        # Most have ended before they are looked at: those are written once and never touched again.
        rows = [(job_id, *asked, *ended.pop(job_id, _RUNNING)) for job_id, asked in requested.items()]
        await connection.execute(_INSERT, columns_of(rows))
    if ended:
        await connection.execute(_FINISH, columns_of((job_id, *end) for job_id, end in ended.items()))


_RUNNING = ("running", None, None, None, None, None, None, None, None, None)


def _requested(job: JobRequested, entry: Entry) -> tuple[object, ...]:
    told, command = entry.metadata, job.command
    return (
        *(job.vps_id, job.account_id, job.token_id),
        *(told.actor.kind, told.actor.id, told.address, told.request_id),
        *((None, command.size_bytes, command.sha256) if isinstance(command, Blob) else (command, None, None)),
        *(job.timeout_seconds, job.background, job.requested_at, entry.recorded.position),
    )


def _ended(end: JobFinished) -> tuple[object, ...]:
    return (
        *(end.end, end.exit_code, end.duration_ms),
        *(end.stdout_bytes, end.stdout_sha256, end.stderr_bytes, end.stderr_sha256),
        *(end.truncated, end.error, end.at),
    )


JOBS = ReadModel(name="jobs", tables=("job",), sql=_SQL, events=(JobRequested, JobFinished), apply=_apply)
