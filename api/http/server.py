"""Serving: the background services that run in one process on one event loop, and how they end in order."""

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

BackgroundService = Callable[[], Awaitable[None]]
"""Runs until it is cancelled, and then ends what it has begun."""


class BackgroundServiceEnded(Exception):
    """A background service ended by itself, so the rest was ended too."""


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


def http_server(
    app: object,
    listener: socket.socket,
    limits: Limits = Limits(),  # noqa: B008
) -> tuple[HttpServer, BackgroundService]:
    """Return a server of an ASGI application, and the service that runs it."""
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


async def run_services(
    services: Mapping[str, BackgroundService],
    started: Callable[[], Awaitable[None]],
    ending: Callable[[], None] = _nothing,
    force_shutdown: Callable[[], None] = _nothing,
) -> None:
    """Run services side by side until SIGINT or SIGTERM, then end them, the first to begin first.

    ``started`` is called once all of them run, ``ending`` at the first signal, ``force_shutdown`` at every further one
    and ``WAITING_S`` after the end began. Raises BackgroundServiceEnded if one ends by itself.
    """
    async with _handling_signals(ending, force_shutdown) as ending_begun:
        tasks = {name: asyncio.create_task(_run(service), name=name) for name, service in services.items()}
        signalled = asyncio.create_task(ending_begun.wait())
        try:
            await started()
            await asyncio.wait([signalled, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
            ended = [name for name, task in tasks.items() if task.done()]
        finally:
            signalled.cancel()
            waited = asyncio.get_running_loop().call_later(WAITING_S, force_shutdown)
            for name, task in tasks.items():
                _log.debug("ending", service=name)
                task.cancel()
                await asyncio.wait([task])
            waited.cancel()
    if ended and not ending_begun.is_set():
        problem = tasks[ended[0]].exception()
        raise BackgroundServiceEnded(f"{ended[0]} ended by itself: {problem!r}") from problem


async def _run(service: BackgroundService) -> None:
    await service()


@contextlib.asynccontextmanager
async def _handling_signals(
    ending: Callable[[], None], force_shutdown: Callable[[], None]
) -> AsyncIterator[asyncio.Event]:
    loop, ending_begun = asyncio.get_running_loop(), asyncio.Event()

    def signalled() -> None:
        if ending_begun.is_set():
            force_shutdown()
            return
        ending_begun.set()
        ending()

    for number in _SIGNALS:
        loop.add_signal_handler(number, signalled)
    try:
        yield ending_begun
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
