"""The HTTP application: Litestar as the router, with every rule of ours around and behind it."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from api.http.answering import Answering, Receive, Reply, Scope, Send
from api.http.arrival import arrivals
from api.http.bodies import Nothing
from api.http.catalogue import endpoints
from api.http.endpoint import Endpoint
from api.http.errors import InternalError, MethodNotAllowed
from api.runtime import Runtime
from domain.errors import Invalid, NotFound, Refusal

_log = structlog.get_logger(__name__)
_BEYOND = ("PATCH", "OPTIONS", "TRACE")


class App:
    """The ASGI application; HEAD is answered as GET without the body."""

    def __init__(self, runtime: Runtime) -> None:
        declared = endpoints(runtime.settings)
        answering = Answering(runtime)
        self._arrival = arrivals(runtime.ids, runtime.settings.proxy_networks)
        self._router = Litestar(
            route_handlers=[*(_routed(one, answering) for one in declared), *_unmethoded(declared, answering)],
            exception_handlers=cast("Any", {HTTPException: _unrouted(answering), Exception: _unrouted(answering)}),
            openapi_config=None,
            logging_config=None,
            debug=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            scope["litevps.arrival"] = self._arrival(scope)
            scope["litevps.head"] = scope["method"] == "HEAD"
            if scope["litevps.head"]:
                scope["method"] = "GET"
        await self._router(cast("Any", scope), receive, cast("Any", send))


def _routed(endpoint: Endpoint, answering: Answering) -> HTTPRouteHandler:
    async def reply(request: Request[Any, Any, Any]) -> Reply:
        return await answering.reply(endpoint, cast("Scope", request.scope), request.receive)

    return _handler(endpoint.path, [HttpMethod(endpoint.method)], endpoint.name, reply)


def _unmethoded(declared: Sequence[Endpoint], answering: Answering) -> list[HTTPRouteHandler]:
    """Return handlers that answer 405 where a path is there for other methods."""
    methods: dict[str, list[str]] = {}
    for endpoint in declared:
        methods.setdefault(endpoint.path, []).append(endpoint.method)
    return [_refusing_methods(path, allowed, answering) for path, allowed in methods.items()]


def _refusing_methods(path: str, allowed: list[str], answering: Answering) -> HTTPRouteHandler:
    listed = ", ".join(sorted([*allowed, *(["HEAD"] if "GET" in allowed else [])]))
    others = [method for method in HttpMethod if method.value not in allowed and method.value != "HEAD"]

    async def reply(request: Request[Any, Any, Any]) -> Reply:
        return await answering.refuse_unrouted(MethodNotAllowed(allowed=listed), cast("Scope", request.scope))

    return _handler(path, others, f"refuse other methods of {path}", reply)


def _handler(path: str, methods: list[HttpMethod], name: str, reply: Callable[..., Any]) -> HTTPRouteHandler:
    typed = path.replace("}", ":str}")
    return HTTPRouteHandler(typed, http_method=methods, name=name)(reply)


def _unrouted(answering: Answering) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    def refuse(request: Request[Any, Any, Any], problem: Exception) -> Response[Any]:
        return _Later(answering, _refusal_of(request, problem))

    return refuse


def _refusal_of(request: Request[Any, Any, Any], problem: Exception) -> Refusal:
    match getattr(problem, "status_code", 500):
        case 404:
            return NotFound()
        case 405:
            return MethodNotAllowed(allowed="GET, HEAD")
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
