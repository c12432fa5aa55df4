"""Authentication: who asks, whether they may, and whether not too often, before anything else of a request is read."""

import asyncio

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from api.application import rate_limits
from api.application.refusals import Ending
from api.application.runtime import Runtime
from api.http.pipeline.authenticator import Authenticator
from api.http.pipeline.context import RequestContext, context_of
from api.http.pipeline.errors import refusal_response
from api.http.pipeline.operation import operation_of
from api.http.pipeline.rate_limits import quota_headers
from domain.accounts.account import Unauthorized
from domain.accounts.ports import Quota
from domain.tokens.token import check_need


class Authentication(ASGIMiddleware):
    """Lets in whoever an operation is for. What Litestar cannot route never comes here: see ``Unrouted``."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._authenticator = Authenticator(runtime)
        per_minute = runtime.settings.requests_per_minute
        self._quotas = {name: Quota(name, per_minute, 60) for name in ("session", "token")}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Have a request answered, or raise the Refusal."""
        context, operation = context_of(scope), operation_of(scope)
        try:
            if not operation.public:
                await self.let_in(context)
                if context.caller is not None and context.caller.token is not None:
                    check_need(context.caller.token, operation.scope)
            elif operation.quota is not None:
                await self._count_client(context, operation.quota(self._runtime.settings))
            await next_app(scope, receive, send)
        except asyncio.CancelledError:
            # Only the server does that, to what is still under way when it ends; this is the answer's last chance.
            if context.response_started:
                raise
            await refusal_response(Ending(), context).to_asgi_response()(scope, receive, send)

    async def let_in(self, context: RequestContext) -> None:
        """Have a context know its caller. Raises Unauthorized or RateLimited."""
        try:
            await self._let_in_and_count(context)
        except Unauthorized:
            await self._authenticator.count_wrong(context)
            raise

    async def _let_in_and_count(self, context: RequestContext) -> None:
        credential = await self._authenticator.credential(context)
        name, subject = credential.counted_as
        quota = self._quotas[name]
        # Side by side, since both wait for the database.
        _, tally = await asyncio.gather(
            self._authenticator.let_in(context, credential), rate_limits.count(self._runtime, quota, subject)
        )
        context.quota_headers.extend(quota_headers(quota, tally))
        rate_limits.check(quota, tally)

    async def _count_client(self, context: RequestContext, quota: Quota) -> None:
        tally = await rate_limits.count(self._runtime, quota, context.client.network)
        context.quota_headers.extend(quota_headers(quota, tally))
        rate_limits.check(quota, tally)
