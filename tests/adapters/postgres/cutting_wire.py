"""A wire to PostgreSQL that can be cut before a statement gets there, or before its answer comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Cut = Literal["statement", "answer"]


class CuttingWire:
    """Forwards connections to a server's socket; cuts one connection each time it is armed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        where = parse_qs(parts.query)
        self._socket = f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}"
        self._credentials, self._database = parts.netloc.rpartition("@")[0], parts.path
        self._tasks: set[asyncio.Task[None]] = set()
        self._armed: Cut | None = None
        self._marker = b""
        self.cuts = 0
        self.refuse = False
        """Whether new connections are refused."""

    @property
    def url(self) -> str:
        """The URL of the far end through this wire."""
        return f"postgresql://{self._credentials}@127.0.0.1:{self._port}{self._database}?sslmode=disable"

    def arm(self, cut: Cut, marker: bytes) -> None:
        """Cut the next statement in which ``marker`` is sent."""
        self._armed, self._marker = cut, marker

    @asynccontextmanager
    async def open(self) -> AsyncIterator["CuttingWire"]:
        """Forward until the block ends."""
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self._port: int = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forward(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.refuse:
            to_client.close()
            return
        server, to_server = await asyncio.open_unix_connection(self._socket)
        cut_answer = asyncio.Event()
        both = asyncio.gather(self._send(client, to_server, cut_answer), self._receive(server, to_client, cut_answer))
        task = asyncio.ensure_future(self._both(both, to_client, to_server))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _both(
        self,
        both: "asyncio.Future[tuple[None, None]]",
        to_client: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
    ) -> None:
        with suppress(ConnectionError):
            await both
        both.cancel()
        to_client.close()
        to_server.close()

    async def _send(
        self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, cut_answer: asyncio.Event
    ) -> None:
        while content := await client.read(1 << 20):
            if self._armed and self._marker in content:
                self.cuts += 1
                cut, self._armed = self._armed, None
                if cut == "statement":
                    raise ConnectionResetError
                cut_answer.set()
            to_server.write(content)
            await to_server.drain()
        raise ConnectionResetError

    async def _receive(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, cut_answer: asyncio.Event
    ) -> None:
        while content := await server.read(1 << 20):
            if cut_answer.is_set():
                raise ConnectionResetError
            to_client.write(content)
            await to_client.drain()
        raise ConnectionResetError
