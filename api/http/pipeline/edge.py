"""The edge: what is done to a request before Litestar sees it."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from litestar.enums import HttpMethod
from litestar.types import ASGIApp

from api.application.runtime import Runtime
from api.http.pipeline.client_request import client_request_reader
from api.http.pipeline.context import KEY, RequestContext

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_METHODS = frozenset(method.value for method in HttpMethod) - {"HEAD", "OPTIONS"}
_ALLOWED_NOWHERE = "TRACE"


class Edge:
    """The ASGI application around Litestar's; HEAD is answered as GET without the body.

    Litestar answers HEAD with 405 and OPTIONS by itself, and knows no other methods than its own.
    """

    def __init__(self, runtime: Runtime, router: ASGIApp) -> None:
        self._runtime = runtime
        self._stand_in = runtime.stand_in
        self._read = client_request_reader(runtime.ids, runtime.settings.proxy_networks)
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if self._stand_in is not None and scope.get("path", "").startswith(f"{self._stand_in.prefix}/"):
            await self._stand_in.app(scope, receive, send)
            return
        if scope["type"] == "http":
            method = scope["method"]
            head = method == "HEAD"
            routed = "GET" if head else method if method in _METHODS else _ALLOWED_NOWHERE
            context = RequestContext(self._runtime, self._read(scope), is_head=head)
            # A scope of our own: the server looks into its own to see what was asked, a HEAD say, when it is answered.
            scope = {**scope, "method": routed, KEY: context}
        await self._router(cast("Any", scope), receive, cast("Any", send))
