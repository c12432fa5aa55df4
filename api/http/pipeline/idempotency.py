"""Idempotency: a response is kept in the very append of its events, and given again to whoever repeats the request."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from api.application.once import KEPT_FOR, Once
from api.application.runtime import Runtime
from api.http.pipeline.errors import IdempotencyKeyReused
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from domain.errors import Refusal
from domain.ids import AccountId, EventId
from domain.ports import Claim, ClaimTaken
from domain.time import Instant

R = TypeVar("R")

SCOPE = "idempotency"
_FIELD = "answer"
_OLDER_FIELD = "kept"
"""Of answers kept before they were bound to their requests; a day after that there are none."""
_PARTS = 5
REPLAYED = ("idempotency-replayed", "true")


class StoredResponse(msgspec.Struct, frozen=True):
    """A response as it is kept, with the digest of the request that it answers."""

    request: str
    status: int
    body: str
    headers: tuple[tuple[str, str], ...]


class IdempotencyKey(msgspec.Struct, frozen=True):
    """An Idempotency-Key of an account's, and the request that came under it."""

    runtime: Runtime
    account_id: AccountId
    key: str
    request: str
    """The digest of everything that makes one request the same as another."""

    async def find(self) -> StoredResponse | None:
        """Return the response that was given to this request before. Raises IdempotencyKeyReused."""
        claim = await self.runtime.store.find_claim(SCOPE, self.claim_key())
        if claim is None:
            return None
        assert claim.kept is not None
        await self.runtime.sealer.load([self.account_id])
        stored = msgspec.json.decode(self._opened(claim.kept.decode()), type=StoredResponse)
        if stored.request != self.request:
            raise IdempotencyKeyReused()
        return stored

    async def prepare(self) -> None:
        """Have the account's key at hand, under which responses are sealed."""
        await self.runtime.sealer.load([self.account_id], create=True)

    def claim_of(self, status: int, body: bytes, headers: tuple[tuple[str, str], ...], now: Instant) -> Claim:
        """Return the claim that keeps a response, sealed, once it was prepared for."""
        text = msgspec.json.encode(StoredResponse(self.request, status, body.decode(), headers)).decode()
        sealed = self.runtime.sealer.seal(self.account_id, self._place(), _FIELD, text).encode()
        return Claim(SCOPE, self.claim_key(), self.account_id, sealed, Instant(now + KEPT_FOR))

    def claim_key(self) -> bytes:
        """Return under which key the response to this request is claimed."""
        return self.runtime.sealer.keyed_hash(SCOPE, f"{self.account_id}:{self.key}")

    def _opened(self, sealed: str) -> str:
        unseal, parts = self.runtime.sealer.unseal, sealed.split(".")
        if len(parts) == _PARTS and parts[3] == _OLDER_FIELD:
            return unseal(self.account_id, EventId(UUID(parts[2])), _OLDER_FIELD, sealed)
        return unseal(self.account_id, self._place(), _FIELD, sealed)

    def _place(self) -> EventId:
        """Return what stands for the event that a response is sealed for: its claim, so that it answers no other."""
        return EventId(UUID(bytes=self.claim_key()[:16]))


class KeptResponse(Generic[R]):
    """Renders what a command came to, and has that kept where the request has a key."""

    def __init__(self, key: IdempotencyKey | None, render: Callable[[R], ApiResponse[Any]]) -> None:
        self._key = key
        self._render = render
        self._last: tuple[R, ApiResponse[Any]] | None = None

    def claims(self, result: R, now: Instant) -> tuple[Claim, ...]:
        """Return the claim that keeps the response, if the request has a key."""
        if self._key is None:
            return ()
        response = self.response(result)
        assert response.status_code is not None, "a response that is kept says its status"
        return (self._key.claim_of(response.status_code, response.body, tuple(response.own_headers), now),)

    def response(self, result: R) -> ApiResponse[Any]:
        """Return the response that tells what the command came to, made once."""
        if self._last is None or self._last[0] is not result:
            self._last = (result, self._render(result))
        return self._last[1]


async def once(
    request: ApiRequest, use_case: Callable[[Once[R]], Awaitable[R]], render: Callable[[R], ApiResponse[Any]]
) -> ApiResponse[Any]:
    """Answer a request by what a use case comes to; under an Idempotency-Key, only once.

    ``use_case``: is given what keeps its outcome, for its execution; ``render``: makes the response of its result, with
    its status told.
    """
    key = key_of(request)
    if key is not None and (stored := await key.find()) is not None:
        return replayed(stored)
    if key is not None:
        await key.prepare()
    kept = KeptResponse(key, render)
    try:
        result = await use_case(kept)
    except (ClaimTaken, Refusal) as no:
        if isinstance(no, ClaimTaken) and no.scope != SCOPE:
            raise
        # The same request came twice at once, and the other one was faster: it is told by the claim, or by
        # a refusal where what it left behind (a taken key, less money) allows no second.
        if key is not None and (stored := await key.find()) is not None:
            return replayed(stored)
        raise
    return kept.response(result)


def key_of(request: ApiRequest) -> IdempotencyKey | None:
    """Return the Idempotency-Key of a request; None where it has none."""
    context = request.context
    if context.idempotency_key is None:
        return None
    digest = hashlib.sha256(request.target.encode() + b"\n" + context.raw_body).hexdigest()
    return IdempotencyKey(context.runtime, request.caller.account_id, context.idempotency_key, digest)


def replayed(stored: StoredResponse) -> ApiResponse[bytes]:
    """Return a response that was given before."""
    return ApiResponse(stored.body.encode(), status_code=stored.status, headers=(*stored.headers, REPLAYED))


class BegunUnderKey:
    """Keeps which thing a request began under its key, if it has one; a repetition goes on with that."""

    def __init__(self, request: ApiRequest) -> None:
        self._key = key_of(request)
        self._runtime = request.runtime

    async def begun(self) -> UUID | None:
        """Return what this request began before. Raises IdempotencyKeyReused."""
        stored = None if self._key is None else await self._key.find()
        return None if stored is None else UUID(stored.body)

    async def claims(self, thing: UUID) -> tuple[Claim, ...]:
        """Return the claim that keeps it."""
        if self._key is None:
            return ()
        await self._key.prepare()
        return (self._key.claim_of(200, str(thing).encode(), (), self._runtime.clock.now()),)

    def releases(self) -> tuple[tuple[str, bytes], ...]:
        """Return what frees the key."""
        return () if self._key is None else ((SCOPE, self._key.claim_key()),)
