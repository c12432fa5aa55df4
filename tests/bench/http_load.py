"""Load: so many connections, each sending its next request once the last is answered; told as JSON.

``python -m tests.bench.http_load PORT KIND SECONDS CONNECTIONS [TOKENS]``; a process of its own, so that it
takes nothing from the server's event loop.
"""

import asyncio
import base64
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_KEY_HEAD = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"


class Connection(asyncio.Protocol):
    """One kept-alive connection, which sends again as soon as it is answered."""

    def __init__(self, requests: Iterator[bytes], expected: bytes) -> None:
        self._requests = requests
        self._expected = expected
        self._received = b""
        self.answered = 0
        self.wrong = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # uvloop's transports are none of asyncio's, but do what they do.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Count a whole answer, and send the next request."""
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        at = self._received.find(_LENGTH) + len(_LENGTH)
        length = int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) < head_end + len(_HEAD_END) + length:
            return
        self.answered += 1
        self.wrong += not self._received.startswith(self._expected, 9)
        self._received = b""
        assert self._transport is not None
        self._transport.write(next(self._requests))


async def load(port: int, kind: str, seconds: float, connections: int, tokens: list[str]) -> dict[str, float]:
    """Send for so many seconds; return answers a second and how many were not as expected."""
    loop = asyncio.get_running_loop()
    expected = b"200" if kind == "static" else b"201"
    opened = []
    for number in range(connections):
        requests = _requests(kind, tokens, number * len(tokens) // connections)
        _, connection = await loop.create_connection(lambda r=requests: Connection(r, expected), "127.0.0.1", port)  # type: ignore[misc]
        opened.append(connection)
    began_s = time.perf_counter()
    before = sum(connection.answered for connection in opened)
    await asyncio.sleep(seconds)
    answered = sum(connection.answered for connection in opened) - before
    rate = answered / (time.perf_counter() - began_s)
    return {"rate": rate, "answered": answered, "wrong": sum(connection.wrong for connection in opened)}


def _requests(kind: str, tokens: list[str], first: int) -> Iterator[bytes]:
    match kind:
        case "static":
            return itertools.repeat(b"GET /static HTTP/1.1\r\nhost: bench\r\n\r\n")
        case "append":
            return itertools.repeat(b"POST /append HTTP/1.1\r\nhost: bench\r\ncontent-length: 0\r\n\r\n")
        case _:
            return _new_keys(tokens, first)


def _new_keys(tokens: list[str], first: int) -> Iterator[bytes]:
    for k in itertools.count(first):
        key = base64.b64encode(_KEY_HEAD + os.urandom(32)).decode()
        body = f'{{"name":"bench","public_key":"ssh-ed25519 {key}"}}'
        yield (
            "POST /api/ssh-keys HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {tokens[k % len(tokens)]}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        ).encode()


def main() -> None:
    """Load as the arguments say, and print the result."""
    port, kind, seconds, connections, *tokens = sys.argv[1:]
    known = Path(tokens[0]).read_text().split() if tokens else []
    print(json.dumps(uvloop.run(load(int(port), kind, float(seconds), int(connections), known))))


if __name__ == "__main__":
    main()
