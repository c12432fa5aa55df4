"""A request over ASGI as it was read, and the reply to it."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.storage import Body

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

BODY_BYTES_MAX = 1024 * 1024


class Request(NamedTuple):
    """What was asked, its path without the prefix under which the stand-in is mounted."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """What is answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it."""
        headers = {"content-length": str(len(self.body)), "cache-control": "no-store"} | self.headers
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": pairs})
        await send({"type": "http.response.body", "body": self.body})


def json_reply(status: int, body: Any, **headers: str) -> Reply:
    """Return a reply in JSON; header names are told with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(int(status), {"content-type": "application/json"} | named, json.dumps(body, indent=2).encode())


async def cut(send: Send) -> None:
    """Begin a reply that never ends, so that the server closes the connection under the client."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1024")]
    await send({"type": "http.response.start", "status": int(HTTPStatus.OK), "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


async def read(scope: Scope, receive: Receive, prefix: str) -> Request:
    """Read a request whole. Raises ApiError when it is too large."""
    chunks, size = [], 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise ApiError("The request is too large.", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path = str(scope["path"])
    if prefix and path.startswith(prefix + "/"):
        path = path[len(prefix) :]
    # Litestar ends the path of what it mounts with a slash.
    path = path.rstrip("/") or "/"
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(str(scope["method"]).upper(), path, query, headers, b"".join(chunks))


def decoded(raw: bytes) -> Body:
    """Read a JSON object. Raises ApiError."""
    try:
        body = json.loads(raw or b"{}")
    except ValueError as error:
        raise ApiError("The body is no JSON.") from error
    if not isinstance(body, dict):
        raise ApiError("The body is no JSON object.")
    return body
