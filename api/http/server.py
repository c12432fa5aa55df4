"""Serving: the parts of the service that run in one process on one event loop, and how they end in order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial

import structlog
import uvicorn

from api.http.pipeline.connections import Connections, Limits
from api.http.pipeline.protocol import BoundedHttp

GRACEFUL_S = 20
"""How long requests under way may take once the service is told to end."""
WAITING_S = GRACEFUL_S - 5
"""How long those that only wait for something go on waiting; the rest is for answering them."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = structlog.get_logger(__name__)

Part = Callable[[], Awaitable[None]]
"""Runs until it is cancelled, and then ends what it has begun."""


class PartEnded(Exception):
    """A part of the service ended by itself, so the rest was ended too."""


class HttpServer(uvicorn.Server):
    """Serves HTTP until told otherwise; signals are left to the process as a whole."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        """Set once requests are answered."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def http_server(app: object, listener: socket.socket, limits: Limits = Limits()) -> tuple[HttpServer, Part]:  # noqa: B008
    """Return a server of an ASGI application, and the part that runs it."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(BoundedHttp, open_connections=Connections(limits)),  # type: ignore[arg-type]
        ws="none",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_S,
    )
    server = HttpServer(config)

    async def run() -> None:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise

    return server, run


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raises OSError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _nothing() -> None: ...


async def run_parts(
    parts: Mapping[str, Part],
    started: Callable[[], Awaitable[None]],
    ending: Callable[[], None] = _nothing,
    hurry: Callable[[], None] = _nothing,
) -> None:
    """Run parts side by side until SIGINT or SIGTERM, then end them, the first to begin first.

    ``started`` is called once all of them run, ``ending`` at the first signal, ``hurry`` at every further one
    and ``WAITING_S`` after the end began. Raises PartEnded if one ends by itself.
    """
    async with _told_to_end(ending, hurry) as told:
        tasks = {name: asyncio.create_task(_run(part), name=name) for name, part in parts.items()}
        signalled = asyncio.create_task(told.wait())
        try:
            await started()
            await asyncio.wait([signalled, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            ended = [name for name, task in tasks.items() if task.done()]
        finally:
            signalled.cancel()
            waited = asyncio.get_running_loop().call_later(WAITING_S, hurry)
            for name, task in tasks.items():
                _log.debug("ending", part=name)
                task.cancel()
                await asyncio.wait([task])
            waited.cancel()
    if ended and not told.is_set():
        problem = tasks[ended[0]].exception()
        raise PartEnded(f"{ended[0]} ended by itself: {problem!r}") from problem


async def _run(part: Part) -> None:
    await part()


@contextlib.asynccontextmanager
async def _told_to_end(ending: Callable[[], None], hurry: Callable[[], None]) -> AsyncIterator[asyncio.Event]:
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def signalled() -> None:
        if told.is_set():
            hurry()
            return
        told.set()
        ending()

    for number in _SIGNALS:
        loop.add_signal_handler(number, signalled)
    try:
        yield told
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
