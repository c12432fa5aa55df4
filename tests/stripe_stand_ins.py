"""A stand-in for Stripe that a test serves, the official client that talks to it, and a webhook that listens."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import stripe
import uvicorn

from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn

START = 1_790_000_000
CENTS = 1000
WAIT_S = 20.0


class TestClock:
    """Seconds that pass when a test says so."""

    __test__ = False

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: int) -> None:
        """Let so many seconds pass."""
        self.now += seconds


class Delivered(NamedTuple):
    """A webhook as it arrived."""

    raw: bytes
    signature: str


class Listener:
    """A webhook endpoint that keeps what arrives, and answers the statuses that it is told, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.delivered: list[Delivered] = []
        self._statuses = list(statuses)
        self._arrived = asyncio.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": f"{(await receive())['type']}.complete"})
            return
        raw = b""
        more = True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        status = self._statuses.pop(0) if self._statuses else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})
        async with self._arrived:
            self.delivered.append(Delivered(raw, dict(scope["headers"])[b"stripe-signature"].decode()))
            self._arrived.notify_all()

    async def until(self, count: int) -> list[Delivered]:
        """Wait until so many have arrived, and return them."""
        async with asyncio.timeout(WAIT_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.delivered) >= count)
        return list(self.delivered)


@contextlib.asynccontextmanager
async def served(application: Callable[[Any, Any, Any], Awaitable[None]]) -> AsyncIterator[str]:
    """Serve an ASGI application on a free loopback port, and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(application, log_level="critical", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def serving(
    state: str = IN_MEMORY, prefix: str = "", **options: Any
) -> AsyncIterator[tuple[StripeStandIn, stripe.StripeClient]]:
    """Serve a stand-in, and give it with the official client that talks to it."""
    stand_in = StripeStandIn(state, public_url="", **options)
    try:
        async with served(stand_in) as url:
            stand_in.public_url = url + prefix
            yield stand_in, client_of(stand_in.public_url)
    finally:
        stand_in.close()


def client_of(url: str, api_key: str = "sk_test_anything") -> stripe.StripeClient:
    """Return the official client, which tries nothing twice by itself."""
    return stripe.StripeClient(
        api_key, base_addresses={"api": url}, http_client=stripe.HTTPXClient(), max_network_retries=0
    )


def session_of(cents: int = CENTS, **over: Any) -> Any:
    """Return the parameters of a session for so many cents."""
    return {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": "usd", "unit_amount": cents, "product_data": {"name": "Funds"}},
            }
        ],
        "client_reference_id": "reference",
        "metadata": {"account": "account"},
        "payment_intent_data": {"metadata": {"account": "account"}},
        "customer_email": "ada@example.com",
        "success_url": "http://127.0.0.1:9/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:9/cancelled",
    } | over


async def paid_session(stand_in: StripeStandIn, client: stripe.StripeClient, cents: int = CENTS) -> Any:
    """Return a session that was paid, with its payment intent, charge and balance transaction expanded."""
    session = await client.v1.checkout.sessions.create_async(session_of(cents))
    stand_in.dashboard.pay(session.id)
    return await whole(client, session.id)


async def whole(client: stripe.StripeClient, session: str) -> Any:
    """Return a session with everything expanded that leads to its money."""
    expand = ["payment_intent.latest_charge.balance_transaction"]
    return await client.v1.checkout.sessions.retrieve_async(session, {"expand": expand})


def types_of(stand_in: StripeStandIn) -> list[str]:
    """Return the types of all events, oldest first."""
    return [event["type"] for event in stand_in.events()]
