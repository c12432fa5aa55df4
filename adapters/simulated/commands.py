"""A small shell for played guests: enough of one for tests, and no more."""

import re
import shlex
from collections.abc import Callable

from adapters.simulated.jobs import Play, Written
from domain.compute.ports import JobSpec
from domain.time import seconds

KERNEL = "Linux {hostname} 6.1.0-simulated #1 SMP Simulated x86_64 GNU/Linux"
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
OPERATORS = {";", "\n", "&", "&&", "||", "|"}
REDIRECTIONS = {">", ">>", "<", ">&"}

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+|[?$]))")


def play_command(job: JobSpec, hostname: str, files: dict[str, bytes]) -> Play:
    """Return all that a job's command does; what it writes to ``files`` is there at once.

    Knows ``;``, newline, ``&&``, ``||``, ``|``, ``&`` (started and forgotten), ``>``, ``>>``, ``<``,
    ``>&2``, ``$NAME`` and the commands below. Time passes only in ``sleep``.
    """
    run = _Run(job, hostname, files)
    run.script(job.command)
    return Play(tuple(run.written), run.now_us, run.status & 0xFF)


class _Exited(Exception):
    """The shell ends here, with its present status."""


class _Run:
    """One shell at work: its variables, its time and what it has written so far."""

    def __init__(self, job: JobSpec, hostname: str, files: dict[str, bytes]) -> None:
        self.hostname = hostname
        self.files = files
        self.user = job.user or "root"
        self.variables = {"HOME": "/root", "USER": self.user, "PWD": job.cwd or "/root", **job.env}
        self.variables["LITEVPS_JOB_ID"] = str(job.job_id)
        self.stdin = (job.stdin or "").encode()
        self.written: list[Written] = []
        self.now_us = 0
        self.status = 0

    def script(self, text: str) -> None:
        """Run statement after statement to the end or to ``exit``."""
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>\n")
        lexer.whitespace = " \t\r"
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            tokens = list(lexer)
            before, words, piped = ";", list[str](), self.stdin
            for token in [*tokens, ";"]:
                if token not in OPERATORS:
                    words.append(token)
                    continue
                if words:
                    piped = self._statement(words, before, token, piped)
                before, words = token, []
        except ValueError:
            self._write(b"sh: syntax error\n", to_stderr=True)
            self.status = 2
        except _Exited:
            pass

    def _statement(self, words: list[str], before: str, after: str, piped: bytes) -> bytes:
        """Run one simple command unless ``&&`` or ``||`` leaves it out; return what the next one reads."""
        left_out = (before == "&&" and self.status) or (before == "||" and not self.status)
        if left_out or after == "&":
            return piped
        read = piped if before == "|" or words[0] in ("cat", "wc", "head") else b""
        output = self._simple_command([self._expanded(word) for word in words], read)
        if after == "|":
            return output
        self._write(output, to_stderr=False)
        return b"" if read else piped

    def _simple_command(self, words: list[str], stdin: bytes) -> bytes:
        arguments, output_to, appending = list[str](), "", False
        rest = iter(words)
        for word in rest:
            if word not in REDIRECTIONS:
                arguments.append(word)
            elif word == "<":
                stdin = self.files.get(next(rest, ""), b"")
            else:
                output_to, appending = ("&" if word == ">&" else "") + next(rest, ""), word == ">>"
        command = COMMANDS.get(arguments[0])
        if command is None:
            self._write(f"sh: {arguments[0]}: not found\n".encode(), to_stderr=True)
            self.status = 127
            return b""
        self.status = 0
        output = command(self, arguments[1:], stdin)
        if not output_to or output_to == "&1":
            return output
        if output_to == "&2":
            self._write(output, to_stderr=True)
        elif output_to == "/dev/stdout":
            return output
        elif output_to == "/dev/stderr":
            self._write(output, to_stderr=True)
        elif output_to != "/dev/null":
            self.files[output_to] = (self.files.get(output_to, b"") if appending else b"") + output
        return b""

    def _expanded(self, word: str) -> str:
        special = {"?": str(self.status), "$": "42"}
        return _VARIABLE.sub(
            lambda found: special.get(found[2] or "") or self.variables.get(found[1] or found[2], ""), word
        )

    def _write(self, content: bytes, *, to_stderr: bool) -> None:
        if content:
            self.written.append(Written(self.now_us, to_stderr, content))


def _echo(_run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    if arguments[:1] == ["-n"]:
        return " ".join(arguments[1:]).encode()
    return (" ".join(arguments) + "\n").encode()


def _printf(_run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    text = arguments[0] if arguments else ""
    for argument in arguments[1:]:
        text = text.replace("%s", argument, 1)
    escapes = {"n": b"\n", "t": b"\t", "\\": b"\\"}

    def unescaped(found: re.Match[bytes]) -> bytes:
        code = found[1].decode()
        return escapes[code] if code in escapes else bytes([int(code, 8) & 0xFF])

    return re.sub(rb"\\([nt\\]|[0-7]{1,3})", unescaped, text.encode())


def _exit(run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    run.status = int(arguments[0]) if arguments else run.status
    raise _Exited


def _kill(run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    run.status = 128 + int(arguments[0].lstrip("-")) if len(arguments) > 1 else 128 + 15
    raise _Exited


def _sleep(run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    run.now_us += seconds(float(arguments[0]))
    return b""


def _cat(run: _Run, arguments: list[str], stdin: bytes) -> bytes:
    files = {**run.files, "/dev/stdin": stdin}
    missing = [name for name in arguments if name not in files]
    run.status = 1 if missing else 0
    return b"".join(files.get(name, b"") for name in arguments) if arguments else stdin


def _head(run: _Run, arguments: list[str], stdin: bytes) -> bytes:
    count = min(int(arguments[1]), OUTPUT_BYTES_MAX)
    if arguments[2:] == ["/dev/zero"]:
        return bytes(count)
    return (run.files.get(arguments[2], b"") if arguments[2:] else stdin)[:count]


def _wc(_run: _Run, arguments: list[str], stdin: bytes) -> bytes:
    return b"%d\n" % (stdin.count(b"\n") if arguments == ["-l"] else len(stdin))


def _uname(run: _Run, arguments: list[str], _stdin: bytes) -> bytes:
    told = KERNEL.format(hostname=run.hostname) if arguments == ["-a"] else "Linux"
    return (told + "\n").encode()


def _env(run: _Run, _arguments: list[str], _stdin: bytes) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in run.variables.items()).encode()


def _fail(run: _Run, _arguments: list[str], _stdin: bytes) -> bytes:
    run.status = 1
    return b""


COMMANDS: dict[str, Callable[[_Run, list[str], bytes], bytes]] = {
    "echo": _echo,
    "printf": _printf,
    "exit": _exit,
    "kill": _kill,
    "sleep": _sleep,
    "cat": _cat,
    "head": _head,
    "wc": _wc,
    "uname": _uname,
    "env": _env,
    "true": lambda _run, _arguments, _stdin: b"",
    ":": lambda _run, _arguments, _stdin: b"",
    "sync": lambda _run, _arguments, _stdin: b"",
    "false": _fail,
    "pwd": lambda run, _arguments, _stdin: (run.variables["PWD"] + "\n").encode(),
    "hostname": lambda run, _arguments, _stdin: (run.hostname + "\n").encode(),
    "whoami": lambda run, _arguments, _stdin: (run.user + "\n").encode(),
}
