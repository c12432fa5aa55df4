"""The HTTP application: Litestar as the router, with every rule of ours around and behind it."""

from collections.abc import Callable
from typing import Any, cast

import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler, HTTPRouteHandler
from litestar.types import ASGIApp

from api.application.runtime import Runtime
from api.application.settings import Settings
from api.http.catalogue import endpoints
from api.http.pipeline.answering import Answering, Receive, Reply, Scope, Send
from api.http.pipeline.bodies import Nothing
from api.http.pipeline.client_request import arrivals
from api.http.pipeline.endpoint import Endpoint
from api.http.pipeline.errors import InternalError, MethodNotAllowed
from domain.errors import Invalid, NotFound, Refusal

_METHODS = frozenset(method.value for method in HttpMethod)
_ALLOWED_NOWHERE = "TRACE"
_log = structlog.get_logger(__name__)


class App:
    """The ASGI application; HEAD is answered as GET without the body."""

    def __init__(self, runtime: Runtime) -> None:
        answering = Answering(runtime)
        self._stand_in = runtime.stand_in
        self._arrival = arrivals(runtime.ids, runtime.settings.proxy_networks)
        self._router = Litestar(
            route_handlers=[_routed(path, one, answering) for path, one in _by_path(runtime.settings).items()],
            exception_handlers=cast("Any", {HTTPException: _unrouted(answering), Exception: _unrouted(answering)}),
            openapi_config=None,
            logging_config=None,
            debug=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._stand_in is not None and scope.get("path", "").startswith(f"{self._stand_in.prefix}/"):
            await self._stand_in.app(scope, receive, send)
            return
        if scope["type"] == "http":
            method = scope["method"]
            head = method == "HEAD"
            routed = "GET" if head else method if method in _METHODS else _ALLOWED_NOWHERE
            # A scope of our own: the server looks into its own to see what was asked, a HEAD say, when it is answered.
            scope = {**scope, "method": routed, "litevps.arrival": self._arrival(scope), "litevps.head": head}
        await self._router(cast("Any", scope), receive, cast("Any", send))


def _by_path(settings: Settings) -> dict[str, dict[str, Endpoint]]:
    """Return every endpoint by path and method."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints(settings):
        methods = paths.setdefault(endpoint.path, {})
        assert endpoint.method not in methods, f"{endpoint.method} {endpoint.path} is declared twice"
        methods[endpoint.method] = endpoint
    return paths


def _routed(path: str, by_method: dict[str, Endpoint], answering: Answering) -> ASGIRouteHandler | HTTPRouteHandler:
    allowed = ", ".join(sorted([*by_method, *(["HEAD"] if "GET" in by_method else [])]))

    # A path answers for all methods, so that what it refuses is in our shape as well.
    async def reply_to(scope: Scope, receive: Receive) -> Reply:
        endpoint = by_method.get(scope["method"])
        if endpoint is None:
            return await answering.refuse_unrouted(MethodNotAllowed(allowed=allowed), scope)
        return await answering.reply(endpoint, scope, receive)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await (await reply_to(scope, receive))(scope, receive, send)

    async def answer_request(request: Request[Any, Any, Any]) -> Reply:
        return await reply_to(cast("Scope", request.scope), request.receive)

    if "{" not in path:
        return ASGIRouteHandler(path, copy_scope=False)(answer)
    # Litestar loses its way to ASGI handlers on paths with variables. Every reply has its own status; the one
    # here only keeps Litestar from asking what the handler returns.
    return HTTPRouteHandler(path.replace("}", ":str}"), http_method=list(HttpMethod), status_code=200)(answer_request)


def _unrouted(answering: Answering) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    def refuse(request: Request[Any, Any, Any], problem: Exception) -> Response[Any]:
        return _Later(answering, _refusal_of(request, problem))

    return refuse


def _refusal_of(request: Request[Any, Any, Any], problem: Exception) -> Refusal:
    match getattr(problem, "status_code", 500):
        case 404:
            return NotFound()
        case 400:
            return Invalid(fields={"request": "cannot be read"})
        case _:
            arrival = request.scope["litevps.arrival"]  # type: ignore[typeddict-item]
            _log.error("routing failed", request_id=arrival.request_id, exc_info=problem)
            return InternalError()


class _Later(Response[Any]):
    """A refusal that is made once Litestar hands over, since it needs to look up who asks."""

    def __init__(self, answering: Answering, refusal: Refusal) -> None:
        super().__init__(content=Nothing())
        self._answering = answering
        self._refusal = refusal

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        """Return what makes the reply and sends it."""

        async def reply(scope: Scope, receive: Receive, send: Send) -> None:
            made = await self._answering.refuse_unrouted(self._refusal, scope)
            await made(scope, receive, send)

        return cast("ASGIApp", reply)
