"""The wire, for tests: a real server of a house, and bytes sent to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.http.app import create_app
from api.http.pipeline.connections import Limits
from api.http.server import http_server, listen
from tests.api.houses import House


@asynccontextmanager
async def serving(here: House, port: int, limits: Limits) -> AsyncIterator[int]:
    """Serve a house at a port of 127.0.0.1."""
    server, run = http_server(create_app(here.runtime), listen("127.0.0.1", port), limits)
    task = asyncio.ensure_future(run())
    await server.up.wait()
    yield port
    task.cancel()
    await asyncio.wait([task])


async def answer(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return what is answered to bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    status, *lines = head.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    writer.close()
    return int(status.split()[1]), headers, body
