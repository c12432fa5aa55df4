"""One request of Stripe's API from its arrival to its reply: its key, what befalls it, and its change."""

import asyncio
import secrets
from collections.abc import Callable
from http import HTTPStatus

from adapters.stripe_stand_in import endpoints, faults, idempotency, sessions
from adapters.stripe_stand_in.errors import ApiError
from adapters.stripe_stand_in.exchange import Reply, Request, json_reply
from adapters.stripe_stand_in.faults import Fault
from adapters.stripe_stand_in.idempotency import StoredResponse
from adapters.stripe_stand_in.objects import API_VERSION, Requester, StripeObjects
from adapters.stripe_stand_in.parameters import Parameters
from adapters.stripe_stand_in.storage import Body, Storage, fresh_id


class Cut(Exception):
    """The connection is to be closed instead of answered."""


class Api:
    """Answers requests; `changed` is called when events may have been made."""

    def __init__(
        self,
        storage: Storage,
        open_objects: Callable[..., StripeObjects],
        clock: Callable[[], int],
        changed: Callable[[], None],
        api_key: str | None,
    ) -> None:
        self._storage = storage
        self._open_objects = open_objects
        self._clock = clock
        self._changed = changed
        self._api_key = api_key

    async def reply(self, request: Request) -> Reply:
        """Answer a request under /v1. Raises Cut."""
        request_id = fresh_id("req")
        headers = {"request_id": request_id, "stripe_version": API_VERSION}
        try:
            self._authenticate(request)
            fault = self._meet(request)
            key = request.headers.get("idempotency-key") if request.method == "POST" else None
            kept = self._begin(request, key, request_id)
            if kept is not None:
                await self._befall(fault)
                headers |= {"idempotent_replayed": "true", "original_request": kept.request}
                return json_reply(kept.status, kept.body, **headers)
            try:
                status, body = await self._answer(request, Requester(request_id, key), fault)
            finally:
                self._release(key)
            if key is not None:
                headers["idempotency_key"] = key
            return json_reply(status, body, **headers)
        except ApiError as error:
            return json_reply(error.status, error.body(), **headers)

    async def _answer(self, request: Request, requester: Requester, fault: Fault | None) -> tuple[int, Body]:
        after = fault is not None and fault.when == "after"
        try:
            if not after:
                await self._befall(fault)
            status, body = self._change(request, requester)
        except ApiError as error:
            if error.kept:
                self._keep(requester.key, error)
            if not after:
                raise
            status, body = error.status, error.body()
        if after:
            try:
                await self._befall(fault)
            except ApiError as error:
                if error.kept:
                    self._keep(requester.key, error)
                raise
        return status, body

    def _change(self, request: Request, requester: Requester) -> tuple[int, Body]:
        form = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query
        parameters = Parameters.of_form(form)
        with self._storage.transaction() as connection:
            objects = self._open_objects(connection, requester)
            sessions.expire_due(objects)
            body = endpoints.answer(objects, request.method, request.path, parameters)
            if requester.key is not None:
                idempotency.keep(connection, requester.key, HTTPStatus.OK, body)
        self._changed()
        return HTTPStatus.OK, body

    def _authenticate(self, request: Request) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError("You did not provide an API key.", status=HTTPStatus.UNAUTHORIZED)
        if self._api_key is not None and not secrets.compare_digest(key.encode(), self._api_key.encode()):
            raise ApiError("Invalid API Key provided.", status=HTTPStatus.UNAUTHORIZED)

    def _meet(self, request: Request) -> Fault | None:
        with self._storage.transaction() as connection:
            return faults.meet(connection, request.method, request.path)

    async def _befall(self, fault: Fault | None) -> None:
        if fault is None:
            return
        await asyncio.sleep(fault.seconds)
        if fault.action == "error":
            raise fault.error()
        if fault.action in ("close", "hang"):
            raise Cut

    def _begin(self, request: Request, key: str | None, request_id: str) -> StoredResponse | None:
        if key is None:
            return None
        asked = idempotency.asked_of(request.method, request.path, request.body)
        with self._storage.transaction() as connection:
            return idempotency.begin(connection, key, asked, request_id, self._clock())

    def _keep(self, key: str | None, error: ApiError) -> None:
        if key is not None:
            with self._storage.transaction() as connection:
                idempotency.keep(connection, key, error.status, error.body())

    def _release(self, key: str | None) -> None:
        if key is not None:
            with self._storage.transaction() as connection:
                idempotency.release(connection, key)
