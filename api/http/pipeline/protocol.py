"""The wire: uvicorn's HTTP/1.1 protocol, with bounds, and refusals in our shape for what is no request at all."""

import asyncio
import secrets
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.pipeline.connections import LINGERING_MAX, Connections
from api.http.pipeline.errors import HeadersTooLarge, refused
from domain.errors import Invalid, Refusal

HEAD_BYTES_MAX = 32 * 1024
"""Of the request line and all headers together; also of what else comes beside a body, such as trailers."""
HEADERS_MAX = 128
BESIDE_EACH_BODY_BYTE = 8
"""How many more bytes may come beside a body for each of its bytes, if it comes in small chunks."""
PIECE_BYTES = 16 * 1024
"""What is read at once before it is counted."""
PIPELINED_MAX = 128
"""How many requests may wait on a connection for the one before them."""
HEAD_TIMEOUT_S = 30.0
"""How long a whole head may take: of the first request from when the connection is made, of others from their start."""
WRITE_STALL_S = 30.0
"""How long a client may take none of what it is answered."""
LINGER_S = 1.0
"""How long a connection that is refused stays, so that its client comes to read why."""
_SEPARATORS = len(": \r\n")
_REASONS = {
    400: b"Bad Request",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class BoundedHttp(HttpToolsProtocol):
    """Reads requests as uvicorn does; what is too long, too slow or too much ends the connection."""

    def __init__(self, *arguments: Any, open_connections: Connections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._open = open_connections
        self._peer: str | None = None
        self._counted = self._refused = self._lingers = False
        self._head_bytes = 0
        self._beside = 0
        """Bytes of the message that is read that are none of its body."""
        self._body_bytes = 0
        self._refusal: Refusal = Invalid(fields={"request": "is no HTTP request"})
        self._running: RequestResponseCycle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many already; and give up on a client that never comes to the point."""
        super().connection_made(transport)
        self._peer = None if self.client is None else self.client[0]
        if (refusal := self._open.refusal(self._peer)) is not None:
            self._turn_away(refusal)
            return
        self._open.opened(self._peer)
        self._counted = True
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on; between two requests, whatever comes has to become the head of another."""
        if self.cycle is not None and self.cycle.response_complete:
            self._await_head()
        for at in range(0, len(data), PIECE_BYTES):
            if self._refused or self.transport.is_closing():
                return
            piece = data[at : at + PIECE_BYTES]
            # Counted as it comes: the parser tells of a header, a trailer or a chunk only once it is whole.
            self._beside += len(piece)
            super().data_received(piece)
            if not self._refused and self._beside > HEAD_BYTES_MAX + BESIDE_EACH_BODY_BYTE * self._body_bytes:
                self._refusal = HeadersTooLarge(bytes_max=HEAD_BYTES_MAX)
                self.send_400_response("")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._in_time()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._counted:
            self._counted = False
            self._open.closed(self._peer)
        if self._lingers:
            self._lingers = False
            self._open.lingering -= 1
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that has much to read."""
        super().pause_writing()
        self._watch_writing()

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
        self._count(len(name) + len(value) + _SEPARATORS)
        if len(self.headers) >= HEADERS_MAX:
            self._refuse_head()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        self._in_time()
        if len(self.pipeline) >= PIPELINED_MAX:
            raise ValueError("too many requests wait")
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # To nothing that we speak; what the parser is given after it, it does not read as requests.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._beside -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the whole request; the next is counted anew."""
        self._beside = self._body_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on to the next request, and see that the answer is taken."""
        super().on_response_complete()
        self._watch_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what cannot be read, and end the connection."""
        under_way = self._running
        if under_way is not None and not under_way.response_complete and self._is_read(under_way):
            # Its client takes what comes next for its answer; what follows it is not read any more.
            under_way.keep_alive = False
            self.pipeline.clear()
            self._refused = True
            return
        if under_way is not None and under_way.response_started and not under_way.response_complete:
            self._refused = True
            self.transport.abort()
            return
        self._turn_away(self._refusal)

    def _is_read(self, cycle: RequestResponseCycle) -> bool:
        """Return whether the whole of a request has come."""
        return cycle is not self.cycle or not cycle.more_body

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: anybody may ask for it."""

    def _turn_away(self, refusal: Refusal) -> None:
        """Tell a refusal, read nothing any more, and end the connection."""
        self._refused = True
        made = refused(refusal, as_problem=False)
        lines = [
            b"HTTP/1.1 %d %s" % (made.status, _REASONS[made.status]),
            *(name + b": " + value for name, value in made.headers),
            b"cache-control: no-store",
            b"x-request-id: " + secrets.token_hex(16).encode(),
            b"content-length: %d" % len(made.body),
            b"connection: close",
            b"",
            made.body,
        ]
        self.transport.write(b"\r\n".join(lines))
        self._in_time()
        if self._open.lingering >= LINGERING_MAX:
            self.transport.close()
            return
        # Closed at once, with something unread, the client would be told of a reset rather than why.
        self.transport.write_eof()
        self._open.lingering += 1
        self._lingers = True
        self._late = self.loop.call_later(LINGER_S, self.transport.abort)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse_head()

    def _refuse_head(self) -> None:
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

    def _watch_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if (size := self.transport.get_write_buffer_size()) > 0:
            self._stalled = self.loop.call_later(WRITE_STALL_S, self._check_writing, size)

    def _check_writing(self, before: int) -> None:
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._watch_writing()
