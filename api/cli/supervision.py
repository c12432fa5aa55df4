"""Supervision: HTTP and work as processes of their own, each started again when it dies while the other goes on."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import structlog

RESTART_AFTER_S = 0.1
RESTART_AFTER_S_MAX = 30.0
"""How long a process that dies again and again is left alone; doubled each time up to this."""
STEADY_AFTER_S = 60.0
"""How long a process has to run for its next death to count as its first."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_READY_BYTES_MAX = 65_536

_log = structlog.get_logger(__name__)


class ProcessSpec(msgspec.Struct, frozen=True):
    """A process to be kept running: its program with arguments, and file descriptors that it inherits."""

    name: str
    command: tuple[str, ...]
    inherited: tuple[int, ...] = ()


class DidNotStart(Exception):
    """A process ended before it was ready for the first time; it has told why itself."""


class Supervisor:
    """Keeps processes running until it is told to end, and then ends the first one first."""

    def __init__(self, specs: Sequence[ProcessSpec], steady_after_s: float = STEADY_AFTER_S) -> None:
        self._specs = specs
        self._steady_after_s = steady_after_s
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._ends = asyncio.Event()

    async def run(self, started: Callable[[dict[str, str]], Awaitable[None]]) -> None:
        """Run them until SIGINT or SIGTERM; a second signal hurries them.

        ``started`` is called once all are ready for the first time, with what each said then. The last in order is
        started first. Raises DidNotStart.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._begin_ending)
        tasks: list[asyncio.Task[None]] = []
        ends = asyncio.create_task(self._ends.wait())
        said: dict[str, str] = {}
        try:
            for spec in reversed(self._specs):
                ready = loop.create_future()
                tasks.append(asyncio.create_task(self._keep_running(spec, ready)))
                await asyncio.wait([ready, tasks[-1], ends], return_when=asyncio.FIRST_COMPLETED)
                if self._ends.is_set():
                    return
                if not ready.done():
                    raise DidNotStart(spec.name)
                said[spec.name] = ready.result()
            await started(said)
            await ends
        finally:
            self._ends.set()
            for spec in self._specs:
                await self._end(spec.name)
            await asyncio.gather(*tasks, return_exceptions=True)
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _begin_ending(self) -> None:
        if not self._ends.is_set():
            self._ends.set()
            return
        for process in self._running.values():
            _signal(process)

    async def _keep_running(self, spec: ProcessSpec, ready: asyncio.Future[str]) -> None:
        pause_s = RESTART_AFTER_S
        loop = asyncio.get_running_loop()
        while not self._ends.is_set():
            began_s = loop.time()
            status = await self._run_once(spec, ready)
            if self._ends.is_set() or not ready.done():
                return
            if loop.time() - began_s >= self._steady_after_s:
                pause_s = RESTART_AFTER_S
            _log.error("process died, and is started again", process=spec.name, status=status, after_s=pause_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ends.wait(), pause_s)
            pause_s = min(2 * pause_s, RESTART_AFTER_S_MAX)

    async def _run_once(self, spec: ProcessSpec, ready: asyncio.Future[str]) -> int:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = await asyncio.create_subprocess_exec(
                *spec.command,
                *("--supervised", str(theirs.fileno())),
                pass_fds=(theirs.fileno(), *spec.inherited),
                # Ctrl-C in a terminal is for us, who pass it on in order.
                start_new_session=True,
            )
            theirs.close()
            self._running[spec.name] = process
            if self._ends.is_set():
                _signal(process)
            listening = asyncio.create_task(_said_ready(ours, ready))
            try:
                return await process.wait()
            finally:
                del self._running[spec.name]
                listening.cancel()
                await asyncio.wait([listening])

    async def _end(self, name: str) -> None:
        process = self._running.get(name)
        if process is not None:
            _signal(process)
            await process.wait()


async def _said_ready(ours: socket.socket, ready: asyncio.Future[str]) -> None:
    ours.setblocking(False)
    said = await asyncio.get_running_loop().sock_recv(ours, _READY_BYTES_MAX)
    if said and not ready.done():
        ready.set_result(said.decode())


def _signal(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()


class Lifeline:
    """The socket by which a supervised process says that it is ready, and learns that its supervisor is gone."""

    def __init__(self, number: int) -> None:
        """``number``: the file descriptor that was inherited."""
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(False)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """End this process in order if the supervisor dies meanwhile."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._supervisor_is_gone)
        try:
            yield
        finally:
            loop.remove_reader(self._socket)

    def say_ready(self, text: str) -> None:
        """Say that this process is ready; ``text``: what is to be told to whoever started the service."""
        self._socket.send(text.encode() or b"\n")

    def _supervisor_is_gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        os.kill(os.getpid(), signal.SIGTERM)


def program(command: str, flags: Sequence[str]) -> tuple[str, ...]:
    """Return how this program is started as another command, on the same Python and by the same name."""
    typed = Path(sys.argv[0])
    named = ("-m", "api.cli.program") if typed.suffix == ".py" else (str(typed),)
    return (sys.executable, *named, command, *flags)
