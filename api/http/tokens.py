"""Access tokens over HTTP."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from api.application.repository import Loaded
from api.http.bridge import NO_CONTENT, Answer, Call, Endpoint, Told, act, paged, told
from api.http.pages import PAGE_HEADERS, Page, made_at
from api.http.rendering import (
    NO_AMOUNT,
    Amount,
    AskedAmount,
    Time,
    amount_number,
    asked_amount,
    optional_amount,
    optional_time,
)
from domain.errors import Contended, NotFound
from domain.ids import TokenId
from domain.money import ZERO
from domain.time import Instant, from_datetime, to_rfc3339
from domain.tokens import token as tokens
from domain.tokens.commands import CreateToken, RevokeToken
from domain.tokens.events import Scope
from domain.tokens.token import SCOPES, Token, TooManyTokens, token_ref
from domain.wallet.events import LimitWindow
from domain.wallet.wallet import Wallet, wallet_ref

_EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-000000000005",
    "name": "ci-deploy",
    "scopes": ["vps:read", "vps:write", "exec"],
    "spend_limit": 5,
    "limit_window": "month",
    "spent": 1.2345,
    "left": 3.7655,
    "expires_at": "2027-11-23T17:00:00Z",
    "created_at": "2026-11-23T17:00:00Z",
    "last_used_at": "2026-11-23T17:20:00Z",
}
_SECRET_EXAMPLE = "vtk_EXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEA"  # noqa: S105


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An access token to be made."""

    name: Annotated[str, msgspec.Meta(description="At most 100 characters.")]
    spend_limit: AskedAmount = msgspec.field(default_factory=NO_AMOUNT)
    """What minutes of its VPSs may cost; left out: anything."""
    limit_window: Annotated[
        LimitWindow | None,
        msgspec.Meta(description="`total` (default): all time together; `month`: each month in UTC by itself."),
    ] = None
    expires_at: Annotated[
        Annotated[datetime, msgspec.Meta(tz=True)] | None, msgspec.Meta(description="In the future; null: never.")
    ] = None
    scopes: Annotated[
        tuple[Scope, ...] | None, msgspec.Meta(description="What it may do, at least one; null: everything.")
    ] = None


class TokenTold(msgspec.Struct, frozen=True, kw_only=True):
    """An access token of the account."""

    id: UUID
    name: str
    scopes: tuple[Scope, ...]
    spend_limit: Amount | None
    limit_window: LimitWindow | None
    spent: Amount
    """By minutes of VPSs that it created: in this month where its limit is for the month, else ever."""
    left: Amount | None
    expires_at: Time | None
    created_at: Time
    last_used_at: Time | None


class TokenMade(TokenTold, frozen=True, kw_only=True):
    """A new access token, with its secret, which is told this once."""

    token: str


async def create_token(call: Call) -> Answer:
    """Make a token and tell its secret."""
    body: NewToken = call.body
    wallet = wallet_ref(call.account_id)
    secret = call.runtime.token_secrets.new()
    command = CreateToken(
        account_id=call.account_id,
        token_id=TokenId(call.runtime.ids.new()),
        name=body.name,
        secret_digest=tokens.digest_of(secret),
        scopes=SCOPES if body.scopes is None else body.scopes,
        spend_limit=asked_amount(body.spend_limit, "spend_limit"),
        limit_window=body.limit_window,
        expires_at=None if body.expires_at is None else from_datetime(body.expires_at),
    )
    ref = token_ref(command.token_id)

    def made(loaded: Loaded, now: Instant) -> Answer:
        token = loaded.of(ref)
        assert token is not None, "a token that was decided on is there"
        return told(201, TokenMade(**_fields(token, loaded.of(wallet), None, now), token=secret))

    return await act(
        call, (ref, wallet), lambda loaded, now: tokens.create(loaded.of(wallet), command, now), made, "token"
    )


async def list_tokens(call: Call) -> Answer:
    """Tell the tokens of the account that are not revoked, newest first."""
    aggregates, wallet_seen = call.runtime.aggregates, wallet_ref(call.account_id)
    wallet = (await aggregates.load(wallet_seen)).of(wallet_seen)
    refs = [token_ref(token_id) for token_id in wallet.limits]
    loaded = await aggregates.load(*refs)
    kept = [token for ref in refs if (token := loaded.of(ref)) is not None and not token.revoked]
    last_uses = await call.runtime.last_uses.of([token.id for token in kept])
    now = call.runtime.clock.now()
    return paged(
        call,
        [
            (made_at(token.created_at, token.id), TokenTold(**_fields(token, wallet, last_uses.get(token.id), now)))
            for token in kept
        ],
    )


async def revoke_token(call: Call) -> Answer:
    """Believe a token no longer; VPSs that it created go on, without its limit."""
    ref, wallet = token_ref(TokenId(call.id_in_path("token_id"))), wallet_ref(call.account_id)
    command = RevokeToken(call.account_id, TokenId(call.id_in_path("token_id")))
    await call.runtime.aggregates.execute(
        (ref, wallet), lambda loaded, now: tokens.revoke(loaded.of(ref), command, now), call.context("token")
    )
    return NO_CONTENT


def _fields(token: Token, wallet: Wallet, last_used_at: Instant | None, now: Instant) -> dict[str, Any]:
    limit = wallet.limits[token.id]
    window = limit.window_at(now)
    left = limit.left_in(window)
    return {
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "spend_limit": optional_amount(token.spend_limit),
        "limit_window": token.limit_window,
        "spent": amount_number(limit.spent.get(window, ZERO)),
        "left": optional_amount(left),
        "expires_at": optional_time(token.expires_at),
        "created_at": to_rfc3339(token.created_at),
        "last_used_at": optional_time(last_used_at),
    }


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/tokens",
        name="create_token",
        tag="access tokens",
        summary="Make an access token",
        description=(
            "For programs: it acts for the account within its scopes, until it expires or is revoked. Minutes of the"
            " VPSs that it creates count against its limit; one that would pass it stops its VPS. The secret is told"
            " in this answer only."
        ),
        who="account",
        handle=create_token,
        body=NewToken,
        body_example={
            "name": "ci-deploy",
            "spend_limit": 5.00,
            "limit_window": "month",
            "expires_at": _EXAMPLE["expires_at"],
            "scopes": _EXAMPLE["scopes"],
        },
        told=(
            Told(
                201,
                "The token, with its secret.",
                TokenMade,
                {**_EXAMPLE, "spent": 0, "left": 5, "last_used_at": None, "token": _SECRET_EXAMPLE},
            ),
        ),
        refusals=(TooManyTokens, Contended),
    ),
    Endpoint(
        method="GET",
        path="/api/tokens",
        name="list_tokens",
        tag="access tokens",
        summary="Which access tokens do I have",
        description="Those that are not revoked, with what they spent and when, to the minute, they were last used.",
        who="account",
        handle=list_tokens,
        query=Page,
        told=(Told(200, "The tokens, newest first.", list[TokenTold], [_EXAMPLE], PAGE_HEADERS),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/tokens/{token_id}",
        name="revoke_token",
        tag="access tokens",
        summary="Revoke an access token",
        description="It is refused from now on, by every process. VPSs that it created go on, without its limit.",
        who="account",
        handle=revoke_token,
        told=(Told(204, "It does not exist any more."),),
        refusals=(NotFound, Contended),
    ),
)
