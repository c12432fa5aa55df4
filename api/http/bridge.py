"""The bridge: endpoints that are not written as Litestar's handlers yet, on the pipeline that these have."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar.handlers import HTTPRouteHandler

from api.application.repository import CommandContext, Loaded
from api.http import pages
from api.http.openapi.docs import Docs, ResponseDocs
from api.http.pipeline.idempotency import REPLAYED, SCOPE, IdempotencyKey, StoredResponse, key_of
from api.http.pipeline.operation import BODY_BYTES_MAX, Operation
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse
from api.http.rendering import encode_json, uuid_of
from domain.accounts.account import Account
from domain.accounts.ports import Quota
from domain.deciding import AggregateRef, Decision
from domain.errors import Refusal
from domain.events import Actor
from domain.ids import AccountId, TokenId
from domain.money import MicroUsd
from domain.ports import Claim, ClaimTaken
from domain.time import Instant
from domain.tokens.token import Need
from domain.wallet.wallet import Wallet, wallet_ref


class Answer(msgspec.Struct, frozen=True):
    """What a call came to."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    balance: MicroUsd | None = None
    content_type: str = "application/json"
    wallet: Wallet | None = None


def told(status: int, body: object, *headers: tuple[str, str]) -> Answer:
    """Return an answer with a body of JSON."""
    return Answer(status, encode_json(body), headers)


NO_CONTENT = Answer(204)


class Arrival(msgspec.Struct, frozen=True):
    """What is known of a request before anything in it is believed."""

    request_id: str
    address: str | None
    client: str
    headers: Mapping[bytes, bytes]


class Call:
    """One request, as far as it was checked."""

    def __init__(self, request: ApiRequest) -> None:
        context = request.context
        self.request = request
        self.runtime = context.runtime
        self.arrival = Arrival(
            context.client.request_id, context.client.address, context.client.network, context.headers
        )
        self.path: Mapping[str, str] = request.path_params
        self.session = None if context.caller is None else context.caller.session
        self.token = None if context.caller is None else context.caller.token
        self.account = context.account
        self.wallet = context.wallet
        self.balance = None if context.wallet is None else context.wallet.balance
        self.body: Any = context.body
        self.raw_body = context.raw_body
        self.query: Any = context.query
        self.idempotency_key = context.idempotency_key

    @property
    def account_id(self) -> AccountId:
        """Whose call it is; only of endpoints that ask for an account."""
        return self.request.caller.account_id

    @property
    def token_id(self) -> TokenId | None:
        """The access token that asks; None where a session does."""
        return None if self.token is None else self.token.id

    @property
    def owner(self) -> Account:
        """The account whose call it is; only of endpoints that ask for one."""
        assert self.account is not None, "this endpoint is for accounts"
        return self.account

    def id_in_path(self, name: str) -> UUID:
        """Return an id from the path. Raises NotFound for what is no id."""
        return uuid_of(self.path[name])

    def context(self, step: str = "") -> CommandContext:
        """Return how events that this call leads to came to be."""
        return self.request.caller.context(step)

    def context_of(self, account_id: AccountId | None, step: str, actor: Actor) -> CommandContext:
        """Return the same for a caller who has shown no session."""
        return self.request.client.context_of(account_id, step, actor)


class Told(msgspec.Struct, frozen=True):
    """An answer that an endpoint gives, for the document."""

    status: int
    description: str
    body: Any = None
    example: Any = None
    headers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    or_else: Any = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that is to be known of one method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    path_schemas: Mapping[str, Mapping[str, Any]] = {}
    name: str
    tag: str
    summary: str
    description: str = ""
    who: Literal["public", "account"]
    scope: Need = None
    handle: Callable[[Call], Awaitable[Answer]]
    body: type[msgspec.Struct] | None = None
    body_example: Any = None
    body_bytes_max: int = BODY_BYTES_MAX
    raw_body: bool = False
    query: type[msgspec.Struct] | None = None
    told: tuple[Told, ...]
    refusals: tuple[type[Refusal], ...] = ()
    quota: Quota | None = None


def bridged(endpoint: Endpoint) -> HTTPRouteHandler:
    """Return an endpoint as one of Litestar's handlers."""

    async def answer(request: ApiRequest) -> ApiResponse[bytes]:
        call = Call(request)
        made = await endpoint.handle(call)
        wallet = made.wallet or call.wallet
        if wallet is not None and made.balance is not None and wallet.balance != made.balance:
            wallet = msgspec.structs.replace(wallet, balance=made.balance)
        return ApiResponse(
            made.body,
            status_code=made.status,
            headers=made.headers,
            media_type=made.content_type,
            wallet=wallet,
        )

    quota = endpoint.quota
    docs = Docs("", refuses=endpoint.refusals, body_example=endpoint.body_example, path_schemas=endpoint.path_schemas)
    operation = Operation(
        method=endpoint.method,
        path=endpoint.path,
        name=endpoint.name,
        tag=endpoint.tag,
        summary=endpoint.summary,
        description=endpoint.description,
        public=endpoint.who == "public",
        scope=endpoint.scope,
        quota=None if quota is None else lambda _settings: quota,
        body=endpoint.body,
        body_bytes_max=endpoint.body_bytes_max,
        raw_body=endpoint.raw_body,
        query=endpoint.query,
        ids=frozenset(),
        docs=docs,
        responses=tuple(
            ResponseDocs(
                one.status,
                one.description,
                one.body if one.or_else is None else one.body | one.or_else,
                one.example,
                one.headers,
                one.also,
            )
            for one in endpoint.told
        ),
        is_documented=True,
    )
    return HTTPRouteHandler(
        endpoint.path.replace("}", ":str}"),
        http_method=[endpoint.method],
        status_code=200,
        operation=operation,
        docs=docs,
    )(answer)


async def act(
    call: Call,
    refs: Sequence[AggregateRef[Any]],
    decide: Callable[[Loaded, Instant], Decision],
    answer: Callable[[Loaded, Instant], Answer],
    step: str = "",
) -> Answer:
    """Decide and record, and answer from what is seen afterwards; under a key, only once."""
    if (kept := await find_kept(call)) is not None:
        return kept
    key = key_of(call.request)
    if key is not None:
        await key.prepare()
    try:
        outcome = await call.runtime.aggregates.execute(
            refs,
            decide,
            call.context(step),
            result=lambda decided: answer(decided.loaded, decided.at),
            once=_Kept(key),
        )
    except (ClaimTaken, Refusal) as no:
        if isinstance(no, ClaimTaken) and no.scope != SCOPE:
            raise
        if (kept := await find_kept(call)) is not None:
            return kept
        raise
    wallet = wallet_ref(call.account_id)
    if any(ref.stream == wallet.stream for ref in refs):
        after = outcome.loaded.of(wallet)
        return msgspec.structs.replace(outcome.result, balance=after.balance, wallet=after)
    return outcome.result


class _Kept:
    def __init__(self, key: IdempotencyKey | None) -> None:
        self._key = key

    def claims(self, result: Answer, now: Instant) -> tuple[Claim, ...]:
        return () if self._key is None else (self._key.claim_of(result.status, result.body, result.headers, now),)


async def find_kept(call: Call) -> Answer | None:
    """Return the answer that was given to this request before. Raises IdempotencyKeyReused."""
    key = key_of(call.request)
    stored: StoredResponse | None = None if key is None else await key.find()
    if stored is None:
        return None
    return Answer(stored.status, stored.body.encode(), (*stored.headers, REPLAYED))


def claim_of(call: Call, answer: Answer, now: Instant) -> Claim:
    """Return the claim that keeps an answer, sealed; the account's key must be at hand."""
    key = key_of(call.request)
    assert key is not None
    return key.claim_of(answer.status, answer.body, answer.headers, now)


def claim_key(call: Call) -> bytes:
    """Return under which key the answer to this call is claimed."""
    key = key_of(call.request)
    assert key is not None
    return key.claim_key()


def paged(call: Call, rows: Iterable[tuple[str, object]]) -> Answer:
    """Return the page that was asked for out of a whole list."""
    part = pages.part_of(rows, call.query)
    return page_of(call, part.shown, part.total, older=part.older, newer=part.newer)


def page_of(call: Call, shown: list[Any], total: int, *, older: str | None = None, newer: str | None = None) -> Answer:
    """Return a page, its place in the whole told in headers."""
    response = pages.page_of(call.request, shown, total, older=older, newer=newer)
    return Answer(200, response.body, tuple(response.own_headers))
