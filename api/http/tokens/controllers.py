"""Access tokens over HTTP."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, RequestBody

from api.application.tokens import create_token, list_tokens, revoke_token
from api.http.openapi.docs import Docs
from api.http.pages import PAGE_HEADERS, Page, made_at, paged
from api.http.pipeline.idempotency import once
from api.http.pipeline.request import ApiRequest
from api.http.pipeline.responses import ApiResponse, created
from api.http.tokens.schemas import EXAMPLE, SECRET_EXAMPLE, NewToken, NewTokenResponse, TokenResponse
from domain.errors import Contended, NotFound
from domain.ids import TokenId
from domain.tokens.commands import RevokeToken
from domain.tokens.token import TooManyTokens


class TokensController(Controller):
    """The access tokens of an account, which only its sessions manage."""

    path = "/api/tokens"
    tags = ["access tokens"]

    @post(
        operation_id="create_token",
        summary="Make an access token",
        description=(
            "For programs: it acts for the account within its scopes, until it expires or is revoked. Minutes of the"
            " VPSs that it creates count against its limit; one that would pass it stops its VPS. The secret is told"
            " in this answer only."
        ),
        docs=Docs(
            "The token, with its secret.",
            {**EXAMPLE, "spent": 0, "left": 5, "last_used_at": None, "token": SECRET_EXAMPLE},
            refuses=(TooManyTokens, Contended),
            body_example={
                "name": "ci-deploy",
                "spend_limit": 5.00,
                "limit_window": "month",
                "expires_at": EXAMPLE["expires_at"],
                "scopes": EXAMPLE["scopes"],
            },
        ),
    )
    async def create(self, request: ApiRequest, data: RequestBody[NewToken]) -> ApiResponse[NewTokenResponse]:
        """Make a token and tell its secret."""
        runtime, caller, terms = request.runtime, request.caller, data.to_terms()
        return await once(
            request,
            lambda kept: create_token(runtime, caller, terms, kept),
            lambda made: created(NewTokenResponse.of_new(made), wallet=made.wallet),
        )

    @get(
        operation_id="list_tokens",
        summary="Which access tokens do I have",
        description="Those that are not revoked, with what they spent and when, to the minute, they were last used.",
        query=Page,
        docs=Docs("The tokens, newest first.", [EXAMPLE], PAGE_HEADERS),
    )
    async def list_all(self, request: ApiRequest) -> ApiResponse[list[TokenResponse]]:
        """Tell the tokens of the account that are not revoked, newest first."""
        found = await list_tokens(request.runtime, request.caller)
        return paged(request, [(made_at(one.token.created_at, one.token.id), TokenResponse.of(one)) for one in found])

    @delete(
        "/{token_id:str}",
        operation_id="revoke_token",
        summary="Revoke an access token",
        description="It is refused from now on, by every process. VPSs that it created go on, without its limit.",
        docs=Docs("It does not exist any more.", refuses=(NotFound, Contended)),
    )
    async def revoke(self, request: ApiRequest, token_id: FromPath[TokenId]) -> None:
        """Believe a token no longer."""
        caller = request.caller
        await revoke_token(request.runtime, caller, RevokeToken(caller.account_id, token_id))
