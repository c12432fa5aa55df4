"""Headers that every response has, whoever made it: its request's id, and to an account what its money is."""

from litestar.types import Message, Scope

from api.application.balance_runway import BalanceRunway
from api.application.runtime import Runtime
from api.http.pipeline.context import RequestContext, context_of
from domain.money import floor_to_four_decimals
from domain.time import to_rfc3339

Headers = tuple[tuple[bytes, bytes], ...]

_COMMON: Headers = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class CommonHeaders:
    """Adds them to each response as it is sent: Litestar's ``before_send``, which errors go through as well."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._runway = BalanceRunway()

    async def __call__(self, message: Message, scope: Scope) -> None:
        """Complete a message to the client."""
        context = context_of(scope)
        if message["type"] == "http.response.start":
            context.response_started = True
            message["headers"] = [
                *message.get("headers", ()),
                *context.quota_headers,
                *self._money(context),
                *_COMMON,
                (b"x-request-id", context.client.request_id.encode()),
            ]
        elif message["type"] == "http.response.body" and context.is_head:
            message["body"] = b""

    def _money(self, context: RequestContext) -> Headers:
        """Return what an account is told of its money with every answer, true after the request's own effects."""
        wallet, prices = context.wallet, context.prices
        if wallet is None or prices is None:
            return ()
        remaining = (b"x-balance-remaining", floor_to_four_decimals(wallet.balance).encode())
        exhausts_at = self._runway.of(wallet, prices, self._runtime.clock.now())
        if exhausts_at is None:
            return (remaining,)
        return remaining, (b"x-balance-exhausts-at", to_rfc3339(exhausts_at).encode())
