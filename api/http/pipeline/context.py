"""The context of a request: what is known of it while it is answered, kept in its ASGI scope."""

from collections.abc import Mapping
from typing import Any

from api.application.caller import Caller, Client
from api.application.runtime import Runtime
from api.http.pipeline.client_request import ClientRequest
from domain.accounts.account import Account
from domain.pricing.price_book import PriceBook
from domain.wallet.wallet import Wallet

KEY = "litevps"
"""Of the ASGI scope."""


class RequestContext:
    """What is known of one request, as far as it was checked."""

    __slots__ = (
        "account",
        "body",
        "caller",
        "client",
        "headers",
        "idempotency_key",
        "is_head",
        "is_problem_wanted",
        "prices",
        "query",
        "quota_headers",
        "raw_body",
        "response_started",
        "runtime",
        "wallet",
    )

    def __init__(self, runtime: Runtime, request: ClientRequest, *, is_head: bool = False) -> None:
        """``is_head``: whether the client wants no body."""
        self.runtime = runtime
        self.client: Client = request.client
        self.headers: Mapping[bytes, bytes] = request.headers
        self.is_problem_wanted = request.as_problem
        self.is_head = is_head
        self.caller: Caller | None = None
        self.account: Account | None = None
        """The caller's, as it was let in."""
        self.wallet: Wallet | None = None
        """The caller's, which the headers of the response tell of."""
        self.prices: PriceBook | None = None
        self.quota_headers: list[tuple[bytes, bytes]] = []
        self.raw_body = b""
        self.body: Any = None
        self.query: Any = None
        self.idempotency_key: str | None = None
        self.response_started = False


def context_of(scope: Mapping[str, Any]) -> RequestContext:
    """Return the context of a request by its ASGI scope."""
    context: RequestContext = scope[KEY]
    return context
