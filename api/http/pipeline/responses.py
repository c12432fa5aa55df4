"""Responses: JSON as we encode it, made once, with what a request did to its account's wallet."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from api.http.pipeline.context import context_of
from api.http.rendering import encode_json
from domain.wallet.wallet import Wallet

T = TypeVar("T")

Headers = Sequence[tuple[str, str]]
JSON = "application/json"


class ApiResponse(Response[T]):
    """A response whose body is a struct, or text or bytes as they are, or nothing where it is None."""

    __slots__ = ("_body", "own_headers", "wallet")

    def __init__(
        self,
        content: T,
        *,
        status_code: int | None = None,
        headers: Headers = (),
        media_type: str | None = None,
        wallet: Wallet | None = None,
        **litestars: Any,
    ) -> None:
        """``status_code``: the handler's own unless given; ``wallet``: the caller's after what the request did."""
        super().__init__(content, status_code=status_code, media_type=media_type, **litestars)
        self.own_headers = headers
        self.wallet = wallet
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """Return the body."""
        if self._body is None:
            content: Any = self.content
            match content:
                case None:
                    self._body = b""
                case bytes():
                    self._body = content
                case str():
                    self._body = content.encode()
                case _:
                    self._body = encode_json(content)
        return self._body

    def to_asgi_response(  # type: ignore[override]
        self,
        *_: Any,
        request: Request[Any, Any, Any],
        status_code: int | None = None,
        headers: dict[str, str] | None = None,
        cookies: Iterable[Any] | None = None,
        **__: Any,
    ) -> "ReadyResponse":
        """Return what sends it; ``status_code`` and ``headers`` are those that the handler declares."""
        assert not cookies, "nobody sets any"
        if self.wallet is not None:
            context_of(request.scope).wallet = self.wallet
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in self.own_headers]
        encoded += [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if self.body:
            encoded.append((b"content-type", (self.media_type or JSON).encode()))
        return ReadyResponse(self.status_code or status_code or 200, encoded, self.body)


def ok(content: T, *headers: tuple[str, str], wallet: Wallet | None = None) -> ApiResponse[T]:
    """Return a response with 200; ``wallet``: the caller's after what the request did, where it may have changed."""
    return ApiResponse(content, status_code=200, headers=headers, wallet=wallet)


def created(content: T, *, wallet: Wallet | None = None) -> ApiResponse[T]:
    """Return a response with 201: something was made."""
    return ApiResponse(content, status_code=201, wallet=wallet)


def accepted(content: T, *, wallet: Wallet | None = None) -> ApiResponse[T]:
    """Return a response with 202: something is still to be done."""
    return ApiResponse(content, status_code=202, wallet=wallet)


class ReadyResponse:
    """A response that only has to be sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = [*headers]
        if status != 204:
            self.headers.append((b"content-length", str(len(body)).encode()))
        self.body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send it, as an ASGI application does."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


class ReadyMade(Response[bytes]):
    """A response of which everything is said already, such as a refusal."""

    def __init__(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        super().__init__(body, status_code=status)
        self._ready = ReadyResponse(status, headers, body)

    def to_asgi_response(self, *_: Any, **__: Any) -> ReadyResponse:  # type: ignore[override]
        """Return what sends it."""
        return self._ready
