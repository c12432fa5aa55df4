"""What a command may be asked to be: the limits of the kernel that runs it, and our own."""

import re
from collections.abc import Iterator

from domain.exec.commands import RunJob

STRING_BYTES_MAX = 131_071
"""Of one argument or one ``NAME=value``: Linux's MAX_ARG_STRLEN, 32 pages, without the NUL that ends it (execve(2))."""
STRINGS_BYTES_MAX = 2 * 1024 * 1024 - 64 * 1024
"""Of all of them with their NULs and pointers: a quarter of the usual stack limit of 8 MiB (execve(2)), but for
64 KiB that are left to the guest's own variables and the words before the command."""
POINTER_BYTES = 8
VARIABLES_MAX = 128
STDIN_BYTES_MAX = 1024 * 1024
PATH_BYTES_MAX = 4_095
"""Linux's PATH_MAX without the NUL at its end."""
FILE_NAME_BYTES_MAX = 255
"""Linux's NAME_MAX: of one folder within a path."""

VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
"""A name in the shell (POSIX.1-2017, Base Definitions 3.235); JSON Schema's spelling, told to clients."""
USER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}$"
"""What Debian lets a user be called (useradd(8)), without what only samba uses."""

_VARIABLE = re.compile(VARIABLE_PATTERN.strip("^$"), re.ASCII)
_USER = re.compile(USER_PATTERN.strip("^$"), re.ASCII)


def wrong_fields(command: RunJob, timeout_s_max: int) -> dict[str, str]:
    """Return what of a command cannot be run in any guest, and why, by field; nothing where all of it can."""
    reasons = {
        "command": _wrong_command(command.command),
        "timeout_seconds": None if 1 <= command.timeout_s <= timeout_s_max else f"must be from 1 to {timeout_s_max}",
        "cwd": None if command.cwd is None else _wrong_folder(command.cwd),
        "env": _wrong_variables(command.env, len(command.command.encode())),
        "stdin": None if command.stdin is None else _wrong_text(command.stdin, STDIN_BYTES_MAX),
        "user": None if command.user is None else _wrong_user(command.user),
    }
    return {field: reason for field, reason in reasons.items() if reason is not None}


def _wrong_command(command: str) -> str | None:
    if not command.strip():
        return "must not be empty"
    return _wrong_text(command, STRING_BYTES_MAX)


def _wrong_text(text: str, bytes_max: int) -> str | None:
    if "\0" in text:
        return "must not have NUL characters"
    size = len(text.encode())
    return f"must have at most {bytes_max} bytes in UTF-8, not {size}" if size > bytes_max else None


def _wrong_folder(path: str) -> str | None:
    if not path.startswith("/"):
        return "must be an absolute path"
    if any(len(name.encode()) > FILE_NAME_BYTES_MAX for name in path.split("/")):
        return f"must have at most {FILE_NAME_BYTES_MAX} bytes between two slashes"
    return _wrong_text(path, PATH_BYTES_MAX)


def _wrong_user(user: str) -> str | None:
    if _USER.fullmatch(user):
        return None
    return "must be the name of a user: 1 to 32 letters, digits, '_', '-' and '.', beginning with a letter or '_'"


def _wrong_variables(variables: dict[str, str], command_bytes: int) -> str | None:
    if len(variables) > VARIABLES_MAX:
        return f"must have at most {VARIABLES_MAX} variables"
    if reason := next(_wrong_strings(variables), None):
        return reason
    strings_bytes = sum(len(f"{name}={value}".encode()) + 1 + POINTER_BYTES for name, value in variables.items())
    if command_bytes + strings_bytes > STRINGS_BYTES_MAX:
        return f"must have at most {STRINGS_BYTES_MAX} bytes with the command, each variable counted with 9 more"
    return None


def _wrong_strings(variables: dict[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name):
            yield f"{name[:40]!r} cannot be a variable's name: letters, digits and '_', with no digit first"
        elif reason := _wrong_text(f"{name}={value}", STRING_BYTES_MAX):
            yield f"{name[:40]}=… {reason}"
