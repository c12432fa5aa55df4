"""The connection to Stripe: calls that take a bounded time, answers as structs, errors in our own words."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

import httpx
import msgspec
import stripe

from domain.payments.ports import PaymentsRefused, PaymentsUnavailable

REQUEST_TIMEOUT_S = 8.0
CONNECT_TIMEOUT_S = 4.0
RETRIES_MAX = 2
"""Of one call, by the client itself: where nothing came back, and after 409 and 5xx. Safe, since each call is."""
CALL_TIMEOUT_S = 20.0
"""Of one call with all its retries."""
WORTH_ANOTHER_TRY = frozenset({"balance_insufficient", "idempotency_key_in_use", "lock_timeout", "rate_limit"})
"""Refusals that pass by themselves: https://docs.stripe.com/error-codes"""
_PASSING_STATUSES = frozenset({401, 403, 409, 429})
"""With a wrong key nothing is decided about what was asked for: whoever set it has to set another."""

T = TypeVar("T")


class Missing(Exception):
    """Stripe has nothing of that id."""


class _Answered(Protocol):
    @property
    def last_response(self) -> Any: ...


class Connection:
    """A client of one Stripe account."""

    def __init__(
        self, secret_key: str, *, api_base: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """``api_base``, ``transport``: where something stands in for Stripe."""
        self._http = _Http(transport)
        base_addresses: Any = {} if api_base is None else {"api": api_base}
        client = stripe.StripeClient(
            secret_key, base_addresses=base_addresses, max_network_retries=RETRIES_MAX, http_client=self._http
        )
        self.v1 = client.v1

    async def close(self) -> None:
        """Let go of all connections."""
        await self._http.end()

    async def read(self, call: Awaitable[_Answered], kind: type[T]) -> T:
        """Return what a call answers. Raises Missing, PaymentsRefused, PaymentsUnavailable."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answered = await call
        except TimeoutError as error:
            raise PaymentsUnavailable("Stripe does not answer") from error
        except stripe.StripeError as error:
            raise _translated(error) from error
        try:
            return msgspec.json.decode(answered.last_response.body, type=kind)
        except msgspec.MsgspecError as error:
            raise PaymentsUnavailable(f"Stripe answers what cannot be read: {error}") from error


class _Http(stripe.HTTPXClient):
    """The client's own connections; which way they take is not for the environment to say."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        super().__init__(timeout=httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S))
        self._client_async = httpx.AsyncClient(transport=transport, trust_env=False)

    async def end(self) -> None:
        """Let go of all connections."""
        await self._client_async.aclose()


def _translated(error: stripe.StripeError) -> Exception:
    told = f"{type(error).__name__}: {error.user_message or error}"
    status, code = error.http_status, error.code
    if code == "resource_missing":
        return Missing(told)
    if not isinstance(error, stripe.InvalidRequestError | stripe.CardError | stripe.IdempotencyError):
        return PaymentsUnavailable(told)
    if status is None or status >= 500 or status in _PASSING_STATUSES or code in WORTH_ANOTHER_TRY:
        return PaymentsUnavailable(told)
    return PaymentsRefused(told)
