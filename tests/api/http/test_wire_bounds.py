"""The bounds of the wire: bytes are counted as they come, as are requests and connections."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.pipeline import protocol
from api.http.pipeline.connections import Limits
from api.http.pipeline.protocol import HEAD_BYTES_MAX
from tests.api.houses import House
from tests.api.http.wire import answer, serving

pytestmark = pytest.mark.anyio


async def taken_in(port: int, first: bytes, more: bytes, times: int) -> tuple[int, bytes]:
    """Send something, then more of it as long as it is taken; return how many bytes were, and what was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = len(first)
    told = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        writer.write(first)
        for _ in range(times):
            if told.done():
                break
            writer.write(more)
            await writer.drain()
            sent += len(more)
            await asyncio.sleep(0)
        return sent, await asyncio.wait_for(told, 10)
    writer.close()
    return sent, b"" if not told.done() or told.exception() else told.result()


GET = b"GET /api/health HTTP/1.1\r\nhost: a\r\n"
POST = (
    b"POST /api/auth/login HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
)
ENDLESS = {
    "a header": (GET + b"x: ", b"y" * 65_536),
    "a header's name": (GET, b"y" * 65_536),
    "a path": (b"GET /", b"y" * 65_536),
    "headers": (GET, b"x: y\r\n" * 10_000),
    "empty headers": (GET, b"x:\r\n" * 10_000),
    "a chunk's extension": (POST + b"1;", b"y" * 65_536),
    "extensions of small chunks": (POST, (b"1;" + b"y" * 1_000 + b"\r\na\r\n") * 60),
    "a trailer": (POST + b"0\r\nx: ", b"y" * 65_536),
    "trailers": (POST + b"0\r\n", b"x: y\r\n" * 10_000),
    "blank lines": (b"", b"\r\n" * 32_768),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_what_has_no_end_is_refused_while_it_comes(port: int, what: str) -> None:
    first, more = ENDLESS[what]
    sent, told = await taken_in(port, first, more, 320)

    # What was under way in buffers of the system came on top of what was read.
    assert sent < 10_000_000
    assert told == b"" or told.startswith((b"HTTP/1.1 431", b"HTTP/1.1 413", b"HTTP/1.1 400"))


async def test_a_head_is_measured_as_it_comes(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    feed = HttpToolsProtocol.data_received

    def counted(self: HttpToolsProtocol, data: bytes) -> None:
        fed.append(len(data))
        feed(self, data)

    monkeypatch.setattr(HttpToolsProtocol, "data_received", counted)
    status, _, body = await answer(port, GET + b"x: " + b"y" * 1_000_000)

    assert (status, json.loads(body)["code"]) == (431, "headers_too_large")
    assert sum(fed) <= HEAD_BYTES_MAX + 2 * protocol.PIECE_BYTES


async def test_a_head_within_the_limit_is_taken_however_it_comes(port: int) -> None:
    whole = GET + b"x: " + b"y" * (HEAD_BYTES_MAX - 200) + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        for at in range(0, len(whole), 5_000):
            writer.write(whole[at : at + 5_000])
            await writer.drain()
        assert (await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_a_body_in_small_chunks_is_taken(port: int) -> None:
    body = b'{"email":"no@example.com","password":"' + b"x" * 40_000 + b'"}'
    chunks = b"".join(b"4\r\n" + body[at : at + 4].ljust(4) + b"\r\n" for at in range(0, len(body), 4))
    status, _, told = await answer(port, POST + chunks + b"0\r\n\r\n")

    assert status in (400, 401), told


async def test_too_many_headers_are_431(port: int) -> None:
    headers = b"".join(b"x%d: y\r\n" % number for number in range(protocol.HEADERS_MAX + 1))
    assert (await answer(port, GET + headers + b"\r\n"))[0] == 431


async def test_requests_that_wait_are_bounded(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PIPELINED_MAX", 10)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/health HTTP/1.1\r\nhost: a\r\n\r\n" * 50)
    told = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert 1 <= told.count(b"HTTP/1.1 200") <= 11
    assert told.count(b"HTTP/1.1") == told.count(b"HTTP/1.1 200")


async def test_an_upgrade_is_answered_as_if_it_were_none(port: int, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + upgrade + b"\x81\x05hello" * 10)
    told = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert told.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in told
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


@pytest.fixture
async def narrow_port(here: House, free_port: int, request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """The port of a server that keeps few connections."""
    async with serving(here, free_port, request.param) as served:
        yield served


LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("narrow_port", "status"),
    [
        (Limits(in_all=2), 503),
        (Limits(of_client=2), 429),
        (Limits(of_client=2, proxies=LOOPBACK), 200),
        (Limits(in_all=2, proxies=LOOPBACK), 503),
    ],
    indirect=["narrow_port"],
)
async def test_connections_are_bounded(narrow_port: int, status: int) -> None:
    open_ones = [await asyncio.open_connection("127.0.0.1", narrow_port) for _ in range(2)]
    await asyncio.sleep(0.05)
    told, headers, body = await answer(narrow_port, GET + b"\r\n")
    assert told == status
    if status != 200:
        assert headers["connection"] == "close"
        assert headers["retry-after"] == "1"
        assert json.loads(body)["code"] in ("busy", "rate_limited")
    for _, writer in open_ones:
        writer.close()
    await asyncio.sleep(0.05)

    assert [(await answer(narrow_port, GET + b"\r\n"))[0] for _ in range(5)] == [200] * 5


async def test_who_takes_no_answer_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WRITE_STALL_S", 0.2)
    monkeypatch.setattr(protocol, "PIPELINED_MAX", 10_000)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port))
        await asyncio.get_running_loop().sock_sendall(deaf, b"GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n" * 200)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if await sent_state(deaf) == b"":
                break
        else:
            raise AssertionError("still open")


async def sent_state(deaf: socket.socket) -> bytes | None:
    """Return nothing once the other side is gone, without reading what it sent."""
    try:
        deaf.send(b"\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return b""
    except BlockingIOError:
        return None
    return None
