"""What the calls about commands take and tell."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from api.http.rendering import Time
from domain.exec import limits

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


class JobTold(msgspec.Struct, frozen=True, kw_only=True):
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
