"""What requests about commands take and tell."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from api.application.exec import CommandRun, GuestCommand, JobOutput
from api.http.rendering import Time, optional_time
from domain.exec import limits
from domain.ids import VpsId
from domain.time import to_rfc3339

TIMEOUT_S_DEFAULT = 30


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shell command, and how it is to be run."""

    command: Annotated[
        str, msgspec.Meta(description=f"For `bash -c`. At most {limits.STRING_BYTES_MAX} bytes, as the kernel has it.")
    ]
    timeout_seconds: Annotated[
        int,
        msgspec.Meta(
            description="At most what the operators set: 3600 unless changed.", extra_json_schema={"minimum": 1}
        ),
    ] = TIMEOUT_S_DEFAULT
    background: Annotated[Literal[False], msgspec.Meta(description="Nothing else is taken yet.")] = False
    cwd: Annotated[
        str | None,
        msgspec.Meta(
            description=f"An absolute path of at most {limits.PATH_BYTES_MAX} bytes; null: the user's home folder.",
            extra_json_schema={"pattern": "^/"},
        ),
    ] = None
    env: Annotated[
        dict[str, str],
        msgspec.Meta(
            description=(
                "Added to the environment of an SSH login, handed to the command's `bash` as it is. Each at most"
                f" {limits.STRING_BYTES_MAX} bytes as `NAME=value`, its name one that a shell takes."
            ),
            extra_json_schema={
                "maxProperties": limits.VARIABLES_MAX,
                "propertyNames": {"pattern": limits.VARIABLE_PATTERN},
            },
        ),
    ] = {}
    stdin: Annotated[
        str | None,
        msgspec.Meta(description=f"At most {limits.STDIN_BYTES_MAX} bytes; null: an empty input."),
    ] = None
    user: Annotated[
        str | None,
        msgspec.Meta(
            description="A user of the guest; null: root.", extra_json_schema={"pattern": limits.USER_PATTERN}
        ),
    ] = None

    def to_command(self, vps_id: VpsId) -> GuestCommand:
        """Return the command that this asks for."""
        return GuestCommand(
            vps_id=vps_id,
            command=self.command,
            timeout_s=self.timeout_seconds,
            cwd=self.cwd,
            env=self.env,
            stdin=self.stdin,
            user=self.user,
        )


class CommandDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to."""

    stdout: str
    stderr: str
    exit_code: int | None
    """128 + the number of the signal that ended it; null where the guest was lost, with ``error``."""
    duration_ms: int
    job_id: UUID
    truncated: bool
    error: str | None = None

    @classmethod
    def of(cls, run: CommandRun) -> "CommandDone":
        """Return a command that has ended as it is told."""
        return cls(
            stdout=run.stdout,
            stderr=run.stderr,
            exit_code=run.end.exit_code,
            duration_ms=run.end.duration_ms,
            job_id=run.job_id,
            truncated=run.end.truncated,
            error=run.end.error,
        )


class JobResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A command and what came of it so far."""

    id: UUID
    vps_id: UUID
    command: str
    status: Literal["pending", "running", "done", "timeout", "cancelled"]
    stdout: str
    stderr: str
    exit_code: int | None
    duration_ms: int | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    timeout_seconds: int
    truncated: bool
    error: str | None

    @classmethod
    def of(cls, output: JobOutput) -> "JobResponse":
        """Return a job as it is told."""
        job, end = output.job, output.job.finished
        return cls(
            id=job.job_id,
            vps_id=job.vps_id,
            command=output.command,
            status=job.status,
            stdout=output.stdout,
            stderr=output.stderr,
            exit_code=end.exit_code if end else None,
            duration_ms=end.duration_ms if end else None,
            created_at=to_rfc3339(job.requested_at),
            started_at=to_rfc3339(job.requested_at),
            finished_at=optional_time(end.at if end else None),
            timeout_seconds=job.timeout_s,
            truncated=end.truncated if end else False,
            error=end.error if end else None,
        )


DONE_EXAMPLE = {
    "stdout": "Linux web-01 6.1.0-40-cloud-amd64 x86_64 GNU/Linux\n",
    "stderr": "",
    "exit_code": 0,
    "duration_ms": 12,
    "job_id": "01937b1e-5c00-7000-8000-000000000004",
    "truncated": False,
    "error": None,
}
JOB_EXAMPLE = {
    "id": DONE_EXAMPLE["job_id"],
    "vps_id": "01937b1e-5c00-7000-8000-000000000003",
    "command": "uname -a",
    "status": "done",
    "stdout": DONE_EXAMPLE["stdout"],
    "stderr": "",
    "exit_code": 0,
    "duration_ms": 12,
    "created_at": "2026-11-23T17:00:20Z",
    "started_at": "2026-11-23T17:00:20Z",
    "finished_at": "2026-11-23T17:00:20.031Z",
    "timeout_seconds": 30,
    "truncated": False,
    "error": None,
}
