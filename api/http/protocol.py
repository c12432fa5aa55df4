"""The wire: uvicorn's HTTP/1.1 protocol, with bounds, and refusals in our shape for what is no request at all."""

import asyncio
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.errors import HeadersTooLarge, refused
from domain.errors import Invalid, Refusal

HEAD_BYTES_MAX = 32 * 1024
"""Of the request line and all headers together."""
HEAD_TIMEOUT_S = 30.0
"""How long a whole head may take: of the first request from when the connection is made, of others from their start."""
_REASONS = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class BoundedHttp(HttpToolsProtocol):
    """Reads requests as uvicorn does; a head that is too long or too slow ends the connection."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_bytes = 0
        self._refusal: Refusal = Invalid(fields={"request": "is no HTTP request"})
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, and give up on a client that never comes to the point."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; between two requests, whatever comes has to become the head of another."""
        if self.cycle is not None and self.cycle.response_complete:
            self._await_head()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._in_time()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        self._in_time()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what cannot be read, and end the connection."""
        told = refused(self._refusal, as_problem=False)
        lines = [
            b"HTTP/1.1 %d %s" % (told.status, _REASONS[told.status]),
            *(name + b": " + value for name, value in told.headers),
            b"cache-control: no-store",
            b"x-request-id: " + secrets.token_hex(16).encode(),
            b"content-length: %d" % len(told.body),
            b"connection: close",
            b"",
            told.body,
        ]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refusal = HeadersTooLarge(bytes_max=HEAD_BYTES_MAX)
            # The parser takes it for a request that cannot be read, and has it refused.
            raise ValueError("head too long")

    def _await_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self.transport.close()
