"""What is recorded of a command that runs in a guest."""

from typing import Literal

from domain.blobs import Blob
from domain.events import Event, Personal
from domain.ids import AccountId, JobId, TokenId, VpsId
from domain.time import Instant

JobEnd = Literal["done", "timeout", "cancelled"]


class JobRequested(Event, frozen=True, tag="exec.job-requested.v2"):
    """A command is to run; recorded before anything reaches the guest."""

    job_id: JobId
    account_id: AccountId
    vps_id: VpsId
    token_id: TokenId | None
    generation: int
    """The start of the VPS that the command runs in: with it, the command is over."""
    requested_at: Instant
    command: Personal | Blob
    timeout_seconds: int
    background: bool
    cwd: Personal | None = None
    env: Personal | Blob | None = None
    """JSON object of strings."""
    stdin: Personal | Blob | None = None
    user: Personal | None = None


class JobFinished(Event, frozen=True, tag="exec.job-finished.v1"):
    """The command is over; the digests are of the whole streams, kept or not."""

    job_id: JobId
    account_id: AccountId
    vps_id: VpsId
    end: JobEnd
    exit_code: int | None
    duration_ms: int
    stdout_bytes: int
    stdout_sha256: str
    stderr_bytes: int
    stderr_sha256: str
    truncated: bool
    at: Instant
    error: str | None = None
