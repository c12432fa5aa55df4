"""Serving: the parts of the service that run in one process on one event loop, and how they end in order."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import structlog
import uvicorn

from api.http.protocol import BoundedHttp

GRACEFUL_S = 20
"""How long requests under way may take once the service is told to end."""
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


def http_server(app: object, listener: socket.socket) -> tuple[HttpServer, Part]:
    """Return a server of an ASGI application, and the part that runs it."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=BoundedHttp,
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


async def run_parts(parts: Mapping[str, Part], started: Callable[[], Awaitable[None]]) -> None:
    """Run parts side by side until SIGINT or SIGTERM, then end them, the first to begin first.

    ``started`` is called once all of them run. Raises PartEnded if one ends by itself.
    """
    async with _told_to_end() as told:
        tasks = {name: asyncio.create_task(_run(part), name=name) for name, part in parts.items()}
        ending = asyncio.create_task(told.wait())
        try:
            await started()
            await asyncio.wait([ending, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            ended = [name for name, task in tasks.items() if task.done()]
        finally:
            ending.cancel()
            for name, task in tasks.items():
                _log.debug("ending", part=name)
                task.cancel()
                await asyncio.wait([task])
    if ended and not told.is_set():
        problem = tasks[ended[0]].exception()
        raise PartEnded(f"{ended[0]} ended by itself: {problem!r}") from problem


async def _run(part: Part) -> None:
    await part()


@contextlib.asynccontextmanager
async def _told_to_end() -> AsyncIterator[asyncio.Event]:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
