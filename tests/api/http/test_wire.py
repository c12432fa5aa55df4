"""The wire: what arrives at the port that is no request, or hardly one."""

import asyncio
import json
from contextlib import suppress

import pytest

from api.http.pipeline import protocol
from api.http.pipeline.protocol import HEAD_BYTES_MAX
from tests.api.http.wire import answer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 300,
        b"GET /api/\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\nhost: a\r\nno colon here\r\n\r\n",
        b"POST /api/vps HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/vps HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_in_our_shape(port: int, sent: bytes) -> None:
    status, headers, body = await answer(port, sent)

    assert 400 <= status < 500
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert json.loads(body)["code"]


async def test_endless_headers_are_431(port: int) -> None:
    endless = b"GET /api/health HTTP/1.1\r\n" + b"x: " + b"y" * HEAD_BYTES_MAX + b"\r\n\r\n"
    status, _, body = await answer(port, endless)

    assert (status, json.loads(body)["code"]) == (431, "headers_too_large")


async def test_a_server_says_nothing_of_itself(port: int) -> None:
    status, headers, body = await answer(port, b"GET /api/health HTTP/1.1\r\nhost: a\r\n\r\n")

    assert (status, body) == (200, b'{"status":"ok"}')
    assert "server" not in headers


async def test_requests_in_a_row_are_answered_in_their_order(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(5):
        writer.write(f"GET /api/health HTTP/1.1\r\nhost: a\r\nx-request-id: r{number}\r\n\r\n".encode())
    seen = [(await reader.readuntil(b'{"status":"ok"}')).decode().partition("x-request-id: ")[2][:2] for _ in range(5)]
    writer.close()

    assert seen == [f"r{number}" for number in range(5)]


async def test_a_head_leaves_the_connection_as_good_as_a_get(port: int, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in ("/api/health", "/api/nowhere", "/api/me", "/openapi.json"):
        writer.write(f"HEAD {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
        assert int(head.partition("content-length: ")[2].split()[0]) > 0
        assert "connection: close" not in head
    writer.write(b"GET /api/health HTTP/1.1\r\nhost: a\r\n\r\n")
    status = await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)
    writer.close()

    assert status.startswith(b"HTTP/1.1 200")
    assert [record.getMessage() for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("drop", [b"x: y\r\n", b"\r\n"])
async def test_a_later_head_that_drips_ends_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch, drop: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):  # The second one comes later than a head may take, but at once.
        writer.write(b"GET /api/health HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.wait_for(reader.readuntil(b'{"status":"ok"}'), 10)
        await asyncio.sleep(0.4)
    if drop != b"\r\n":
        writer.write(b"GET /api/health HTTP/1.1\r\n")

    async def drip() -> None:
        while True:
            writer.write(drop)
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    with suppress(ConnectionError):  # What was dripped too late is answered with a reset.
        assert await asyncio.wait_for(reader.read(), 5) == b""
    dripping.cancel()
    writer.close()
