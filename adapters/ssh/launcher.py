"""A launcher: the script that runs jobs in a guest, at the other end of one channel."""

import asyncio
import math
import re
import secrets
import shlex
from importlib.resources import files

import asyncssh
import msgspec

from domain.compute.output import head_and_tail_bytes, parted_output, whole_output
from domain.compute.ports import JobOutcome, JobSpec, StreamOutput
from domain.ids import JobId

SCRIPT = files(__package__).joinpath("launcher.bash").read_bytes()
assert SCRIPT.isascii(), "the guest's bash may count characters where we count bytes"
OUTPUT_BYTES_MAX = 256 * 1024 * 1024
"""How much a stream may come to in the guest, which keeps it in memory and so takes a sixteenth of that where it is
less; a job that writes more is ended, exit code 153 (128 + SIGXFSZ)."""
STDIN_INLINE_BYTES_MAX = 65_536
READY_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_S = 60.0
"""How long the bytes of an answer may take once its first line is there, and short requests as a whole."""
HEADER_BYTES_MAX = 1_024
GREETING_BYTES_MAX = 65_536
EXIT_CODE_MAX = 255
DURATION_MS_MAX = 2**42
SIZE_BYTES_MAX = 2**53
"""What a guest may tell of itself: it is a stranger, and what it says is recorded for ever."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOST = "the guest was restarted, or what watched over the command was killed"
_TOO_MUCH = "ended, since it wrote more to a stream than the guest keeps: a sixteenth of its memory, at most 256 MiB"
_CROWDED = "some of its output may be missing: the guest's /run/litevps was full, which keeps the output of commands"
_NO_ROOM = "not started: the guest's /run/litevps is full, which commands need: remove what fills it or restart the VPS"


class LauncherBroken(Exception):
    """The channel or what is behind it is of no use any more; the job goes on without it."""


class JobStuck(Exception):
    """Something of the job cannot be killed (yet)."""


class _Measured(msgspec.Struct, frozen=True):
    """What the guest tells of one stream before it sends ``head`` and ``tail`` bytes of it."""

    size: int
    sha256: str | None
    head: int
    tail: int


class Launcher:
    """Takes one request after the other; asking for the next one before the answer is a mistake of ours."""

    def __init__(self, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        self._process = process

    @classmethod
    async def start(cls, connection: asyncssh.SSHClientConnection) -> "Launcher":
        """Have a launcher on a channel of its own. Raises LauncherBroken, or asyncssh's errors."""
        marker = secrets.token_hex(8)
        command = f'IFS= read -r -N {len(SCRIPT)} script && eval "$script"'
        arguments = ["exec", "bash", "-c", command, "litevps", str(OUTPUT_BYTES_MAX), marker]
        process = await connection.create_process(
            " ".join(shlex.quote(argument) for argument in arguments), encoding=None, stderr=asyncssh.DEVNULL
        )
        launcher = cls(process)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                process.stdin.write(SCRIPT)
                await launcher._skip_until_ready(b"litevps-ready %s\n" % marker.encode())
        except BaseException:
            process.close()
            raise
        return launcher

    async def run(self, job: JobSpec, *, age_s: float) -> JobOutcome:
        """Have the job started, if it never was, and wait for its end, however long.

        ``age_s``: how long ago it was asked for; a guest booted since then does not start what it does not know.
        """
        self._process.stdin.write(_run_request(job, age_s))
        await self._process.stdin.drain()
        words = await self._header()
        if words[0] == "failed":
            return _not_started()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._outcome(words, job.output_limit_bytes)
        except (ValueError, IndexError) as error:
            raise LauncherBroken("an answer that makes no sense") from error

    async def end(self, job_id: JobId, verdict: str) -> None:
        """Have all of a job killed, as ``cancelled`` or ``timeout``. One never started never will be."""
        await self._request(b"end %s %s\n" % (str(job_id).encode(), verdict.encode()))

    async def discard(self, job_id: JobId) -> None:
        """Have what is kept of an ended job removed."""
        await self._request(b"discard %s\n" % str(job_id).encode())

    def close(self) -> None:
        """Close the channel. What runs in the guest goes on."""
        self._process.close()

    @property
    def usable(self) -> bool:
        """Return whether the channel is still open, as far as known here."""
        return not self._process.is_closing() and self._process.exit_status is None

    async def _request(self, line: bytes) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            self._process.stdin.write(line)
            await self._header()

    async def _header(self) -> list[str]:
        try:
            line = await self._process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise LauncherBroken("the channel was closed") from error
        words = line[:HEADER_BYTES_MAX].decode("ascii", "replace").split()
        if not words or words[0] not in ("outcome", "failed", "done", "stuck"):
            raise LauncherBroken("an answer that makes no sense")
        if words[0] == "stuck":
            raise JobStuck("a process of the job cannot be killed")
        return words

    async def _outcome(self, words: list[str], limit: int) -> JobOutcome:
        verdict, status, duration_ms = words[1], int(words[2]), int(words[3])
        if not (0 <= status <= EXIT_CODE_MAX and 0 <= duration_ms <= DURATION_MS_MAX):
            raise ValueError("an end that no command has")
        out, err = _measured(words[4:8], limit), _measured(words[8:12], limit)
        stdout = await self._stream(out, limit)
        stderr = await self._stream(err, limit)
        return JobOutcome(
            exit_code=status if verdict in ("exit", "crowded", "output") else None,
            timed_out=verdict == "timeout",
            cancelled=verdict == "cancelled",
            duration_ms=duration_ms,
            stdout=stdout,
            stderr=stderr,
            error={"lost": _LOST, "crowded": _CROWDED, "output": _TOO_MUCH}.get(verdict),
        )

    async def _stream(self, measured: _Measured, limit: int) -> StreamOutput:
        head = await self._exactly(measured.head)
        tail = await self._exactly(measured.tail)
        if measured.sha256 is None:
            return whole_output(head, limit)
        return parted_output(head, tail, measured.size, measured.sha256)

    async def _exactly(self, count: int) -> bytes:
        if not count:
            return b""
        try:
            return await self._process.stdout.readexactly(count)
        except asyncio.IncompleteReadError as error:
            raise LauncherBroken("the channel was closed") from error

    async def _skip_until_ready(self, ready: bytes) -> None:
        # The guest's own start-up files may have printed something first.
        skipped = 0
        while skipped < GREETING_BYTES_MAX:
            try:
                line = await self._process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                raise LauncherBroken("no bash in the guest") from error
            if line.endswith(ready):
                return
            skipped += len(line)
        raise LauncherBroken("the guest talks without end")


def _measured(words: list[str], limit: int) -> _Measured:
    """Return what one stream's four words say. The guest is a stranger: raises ValueError for nonsense."""
    measured = _Measured(
        size=int(words[0]),
        sha256=None if words[1] == "-" else words[1],
        head=int(words[2]),
        tail=int(words[3]),
    )
    whole = measured.sha256 is None and measured.head == measured.size <= limit and not measured.tail
    parted = (
        measured.sha256 is not None
        and _SHA256.fullmatch(measured.sha256) is not None
        and (measured.head, measured.tail) == head_and_tail_bytes(limit)
        and measured.size > limit
    )
    if not (whole or parted) or not 0 <= measured.size <= SIZE_BYTES_MAX:
        raise ValueError("sizes that do not fit")
    return measured


def _run_request(job: JobSpec, age_s: float) -> bytes:
    """Return the request in bytes: a line of numbers, then every text by its length, nothing to interpret."""
    stdin = None if job.stdin is None else job.stdin.encode()
    staged = stdin is not None and (len(stdin) > STDIN_INLINE_BYTES_MAX or b"\0" in stdin)
    fields = [
        job.command.encode(),
        None if job.cwd is None else job.cwd.encode(),
        None if job.user is None else job.user.encode(),
        None if staged else stdin,
    ]
    for name, value in job.env.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"not the name of a variable: {name!r}")
        fields.append(f"{name}={value}".encode())
    if any(field is not None and b"\0" in field for field in fields):
        raise ValueError("NUL cannot be part of a command, a folder, a user or a variable")
    head, tail = head_and_tail_bytes(job.output_limit_bytes)
    staged_bytes = len(stdin) if staged and stdin is not None else -1
    numbers = [job.timeout_s, job.output_limit_bytes, head, tail, math.ceil(age_s), staged_bytes]
    lengths = ["-" if field is None else str(len(field)) for field in fields]
    line = " ".join(["run", str(job.job_id), *map(str, numbers), *lengths]) + "\n"
    texts = b"".join(field for field in fields if field)
    return line.encode() + texts + (stdin if staged and stdin is not None else b"")


def _not_started() -> JobOutcome:
    nothing = whole_output(b"", 0)
    return JobOutcome(
        exit_code=None,
        timed_out=False,
        cancelled=False,
        duration_ms=0,
        stdout=nothing,
        stderr=nothing,
        error=_NO_ROOM,
    )
