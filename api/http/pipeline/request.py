"""Requests as handlers are given them: who asks, and a body and a query that are read strictly."""

import asyncio
from typing import Any, TypeVar

import msgspec
from litestar import Request

from api.application.caller import Caller, Client
from api.application.ids import uuid_of
from api.application.runtime import Runtime
from api.http.pipeline import bodies
from api.http.pipeline.context import RequestContext, context_of
from api.http.pipeline.errors import TooSlow
from api.http.pipeline.operation import operation_of
from domain.accounts.account import Account
from domain.errors import Invalid
from domain.wallet.wallet import Wallet

Q = TypeVar("Q", bound=msgspec.Struct)

BODY_TIMEOUT_S = 60.0
"""How long a client may take to send a body."""
KEY_CHARACTERS_MAX = 255
"""Of an Idempotency-Key."""


class ApiRequest(Request[Any, Any, Any]):
    """A request that was checked as far as its operation says."""

    @property
    def context(self) -> RequestContext:
        """Return all that is known of it."""
        return context_of(self.scope)

    @property
    def runtime(self) -> Runtime:
        """Return what use cases work with."""
        return self.context.runtime

    @property
    def client(self) -> Client:  # type: ignore[override]
        """Return where it comes from."""
        return self.context.client

    @property
    def caller(self) -> Caller:
        """Return whose it is; only of operations that are not public."""
        caller = self.context.caller
        assert caller is not None, "only who was let in comes to an operation that is not public"
        return caller

    @property
    def account(self) -> Account:
        """Return the caller's account, as it was let in."""
        account = self.context.account
        assert account is not None, "only who was let in comes to an operation that is not public"
        return account

    @property
    def wallet(self) -> Wallet:
        """Return the caller's wallet, as it was let in: it need not be loaded for a request that only tells of it."""
        wallet = self.context.wallet
        assert wallet is not None, "only who was let in comes to an operation that is not public"
        return wallet

    @property
    def target(self) -> str:
        """Return method, path and query as the client sent them."""
        return f"{self.scope['method']} {self.scope['path']}?{self.scope['query_string'].decode('latin-1')}"

    def asked(self, kind: type[Q]) -> Q:
        """Return the query, which the operation says to be of this type."""
        query = self.context.query
        assert isinstance(query, kind), "an operation names the type of its query as `query`"
        return query

    def take(self, kind: type[Q]) -> Q:
        """Return the body, which the operation says to be of this type, and keep nothing of it any more.

        For a handler that goes on to wait, since hundreds may wait at once.
        """
        body = self.context.body
        assert isinstance(body, kind), "an operation names the type of a body that it takes as `body`"
        self.context.body, self.context.raw_body = None, b""
        return body

    async def body(self) -> bytes:
        """Return the body as it came."""
        return self.context.raw_body

    async def json(self) -> Any:
        """Return the body as the struct that the handler takes."""
        return self.context.body


async def read(request: Request[Any, Any, Any]) -> None:
    """Read a request before its handler is called: Litestar's ``before_request``.

    Raises PayloadTooLarge, TooSlow, UnsupportedMediaType, NotJson, Invalid, NotFound or ClientGone.
    """
    context, operation = context_of(request.scope), operation_of(request.scope)
    if operation.method != "GET":
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                context.raw_body = await bodies.read_body(operation.body_bytes_max, context.headers, request.receive)
        except TimeoutError:
            raise TooSlow from None
        if not operation.raw_body:
            context.body = bodies.decode_body(operation.body, context.headers, context.raw_body)
    context.query = bodies.decode_query(operation.query, request.scope["query_string"])
    if operation.has_idempotency_key:
        context.idempotency_key = checked_key(context.headers.get(b"idempotency-key"))
    for name in operation.ids:
        uuid_of(request.scope["path_params"][name])


def checked_key(header: bytes | None) -> str | None:
    """Return the Idempotency-Key of a request. Raises Invalid."""
    if header is None:
        return None
    key = header.decode("latin-1")
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or not key.isascii() or not key.isprintable():
        raise Invalid(fields={"Idempotency-Key": f"must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters"})
    return key
