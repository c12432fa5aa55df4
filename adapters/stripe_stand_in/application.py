"""The stand-in as an ASGI application, to be mounted under a prefix or served on a port of its own."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from adapters.stripe_stand_in import checkout, sessions, signing
from adapters.stripe_stand_in.api import Api, Cut
from adapters.stripe_stand_in.asking import act
from adapters.stripe_stand_in.dashboard import Dashboard
from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.exchange import Receive, Reply, Request, Scope, Send, cut, decoded, json_reply, read
from adapters.stripe_stand_in.objects import DASHBOARD, Requester, StripeObjects
from adapters.stripe_stand_in.storage import IN_MEMORY, Body, Storage
from adapters.stripe_stand_in.webhook_delivery import Envelope, WebhookDelivery

__all__ = ["IN_MEMORY", "ApiError", "StripeStandIn", "seconds_now"]


def seconds_now() -> int:
    """Return the real time in seconds since 1970, UTC."""
    return int(time.time())


class StripeStandIn:
    """Stripe's API under `/v1`, the page under `/checkout`, and the dashboard under `/stand-in`.

    `state` is a SQLite file that several processes may share, or IN_MEMORY. `public_url` is where all this is reached,
    with the prefix that it is mounted under, if any, and no slash at its end. Without a `webhook_url` no event is
    delivered until there is one. Without a `webhook_secret` there is a random one, kept in the state. With an
    `api_key` any other is refused. `clock` tells seconds.
    """

    def __init__(
        self,
        state: Path | str,
        *,
        public_url: str,
        webhook_url: str | None = None,
        webhook_secret: str | None = None,
        api_key: str | None = None,
        clock: Callable[[], int] = seconds_now,
    ) -> None:
        self.public_url = public_url
        self.webhook_url = webhook_url
        self.clock = clock
        self._storage = Storage(str(state))
        self.webhook_secret = webhook_secret or self._storage.setting("webhook-secret", signing.fresh_secret())
        self._webhook_delivery = WebhookDelivery(self._storage, self._envelope, self._pass_time)
        self._api = Api(
            self._storage, self._objects, clock=self._now, changed=self._webhook_delivery.ring, api_key=api_key
        )
        self.dashboard = Dashboard(self._storage, self._changing)

    async def start(self) -> None:
        """Begin to deliver events, on the running event loop."""
        self._webhook_delivery.start()

    async def stop(self) -> None:
        """Deliver no more; what is not delivered is kept."""
        await self._webhook_delivery.stop()

    def close(self) -> None:
        """Close the state."""
        self._storage.close()

    def events(self) -> list[Body]:
        """Return every event, oldest first."""
        with self._storage.transaction() as connection:
            objects = self._objects(connection, DASHBOARD)
            return [objects.shown(event) for event in objects.every("event")]

    def signed(self, event: Body, secret: str | None = None, at: int | None = None) -> tuple[bytes, str]:
        """Return an event's raw body and Stripe-Signature header, signed at so many seconds."""
        return signing.signed(event, secret or self.webhook_secret, self.clock() if at is None else at)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer over ASGI. As an application of its own, it delivers events while it is up."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        assert scope["type"] == "http", "the stand-in has no WebSockets"
        try:
            request = await read(scope, receive, urlsplit(self.public_url).path)
            reply = await self._reply(request)
        except ApiError as error:
            reply = json_reply(error.status, error.body())
        except Cut:
            await cut(send)
            return
        await reply.send(send)

    async def _reply(self, request: Request) -> Reply:
        first, _, rest = request.path.lstrip("/").partition("/")
        if first == "v1":
            return await self._api.reply(request)
        if first == "checkout" and request.method in ("GET", "HEAD"):
            with self._changing() as objects:
                return checkout.show(objects, rest)
        if first == "checkout" and request.method == "POST":
            with self._changing() as objects:
                session = checkout.find_session(objects, rest)
            return checkout.press(self.dashboard, session, request)
        if first == "stand-in":
            return self._act(request, rest)
        raise ApiError(f"There is nothing at {request.path}.", status=HTTPStatus.NOT_FOUND)

    def _act(self, request: Request, name: str) -> Reply:
        if request.method == "GET" and name == "events":
            return json_reply(HTTPStatus.OK, self.events())
        # A form of another site cannot send this type without being asked first.
        if request.method != "POST" or not request.headers.get("content-type", "").startswith("application/json"):
            raise ApiError("Actions are POSTed as JSON.", status=HTTPStatus.METHOD_NOT_ALLOWED)
        return json_reply(HTTPStatus.OK, act(self.dashboard, name, decoded(request.body)))

    @contextlib.contextmanager
    def _changing(self) -> Iterator[StripeObjects]:
        with self._storage.transaction() as connection:
            objects = self._objects(connection, DASHBOARD)
            sessions.expire_due(objects)
            yield objects
        self._webhook_delivery.ring()

    def _objects(self, connection: sqlite3.Connection, requester: Requester) -> StripeObjects:
        return StripeObjects(connection, self.clock(), self.public_url, requester)

    def _now(self) -> int:
        return self.clock()

    def _pass_time(self) -> None:
        with self._storage.transaction() as connection:
            sessions.expire_due(self._objects(connection, DASHBOARD))

    def _envelope(self, event: Body) -> Envelope | None:
        if self.webhook_url is None:
            return None
        return self.webhook_url, *self.signed(event)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
