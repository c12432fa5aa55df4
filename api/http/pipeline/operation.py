"""Operations: everything that is to be known of one method of one path, read off Litestar's own routes and handlers."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import Any, cast, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from api.application.settings import Settings
from api.http.openapi.docs import Docs, ResponseDocs
from domain.accounts.ports import Quota
from domain.tokens.token import Need

BODY_BYTES_MAX = 64 * 1024
"""Of a body, unless the handler says otherwise by ``request_max_body_size``."""
_KEY = "operation"
_PATH_PARAMETER = re.compile(r"\{(\w+):\w+\}")


class Operation(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One method of one path. Handlers say what Litestar has no argument for in ``opt``, under the names given here."""

    method: str
    path: str
    """With ``{names}`` for its variable parts."""
    name: str
    """Its id in the document."""
    tag: str
    summary: str
    description: str
    public: bool
    """``public``: whether anybody may ask; otherwise only who shows a session or a token of an account."""
    scope: Need
    """``scope``: what an access token must be allowed to ask it; ``any``: every token may; None: only a session."""
    quota: Callable[[Settings], Quota] | None
    """``quota``: counted per client address; None for public operations that cost nothing."""
    body: type[msgspec.Struct] | None
    """The type of the handler's ``data``, or ``body`` where it takes the body itself."""
    body_bytes_max: int
    raw_body: bool
    """``raw_body``: the body is taken as it is, of whatever type; the handler reads it."""
    query: type[msgspec.Struct] | None
    """``query``."""
    ids: frozenset[str]
    """The variable parts of the path that are ids."""
    is_documented: bool = True
    """``include_in_schema``: whether the document tells of it."""
    docs: Docs
    """``docs``."""
    responses: tuple[ResponseDocs, ...]
    """Every response but refusals, that with the handler's own status first."""

    @property
    def has_idempotency_key(self) -> bool:
        """Return whether a repetition can be told by an ``Idempotency-Key``."""
        return self.method == "POST" and not self.public


def operation_of(scope: Mapping[str, Any]) -> Operation:
    """Return the operation that a routed request is for."""
    operation: Operation = scope["route_handler"].opt[_KEY]
    return operation


def operations_of(router: Litestar, controllers: Sequence[ControllerRouterHandler]) -> tuple[Operation, ...]:
    """Return the operations of a router, in the order in which they are written down; its handlers know theirs.

    ``controllers``: what the router was given. Litestar's own order of routes is another one in each process.
    """
    places = {one: place for place, one in enumerate(controllers)}
    found: dict[tuple[int, int, str], Operation] = {}
    for route in router.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            if "docs" not in handler.opt:
                continue  # What Litestar adds by itself to answer OPTIONS.
            (method,) = handler.http_methods
            operation = _operation(handler, str(method), route.path)
            handler.opt[_KEY] = operation
            # A controller's handlers are its methods.
            place = places[type(cast("MethodType", handler.fn).__self__)]
            found[place, handler.fn.__code__.co_firstlineno, route.path] = operation
    return tuple(found[place] for place in sorted(found))


def _operation(handler: HTTPRouteHandler, method: str, path: str) -> Operation:
    opt, fields = handler.opt, handler.parsed_fn_signature.parameters
    docs: Docs = opt["docs"]
    data = fields.get("data")
    limit = handler.resolve_request_max_body_size()
    names = _PATH_PARAMETER.findall(path)
    (tag,) = handler.resolve_tags()
    return Operation(
        method=method,
        path=_PATH_PARAMETER.sub(r"{\1}", path),
        name=str(handler.operation_id),
        tag=tag,
        summary=handler.summary or "",
        description=handler.description or "",
        public=opt.get("public", False),
        scope=opt.get("scope"),
        quota=opt.get("quota"),
        body=opt.get("body") if data is None else data.annotation,
        body_bytes_max=BODY_BYTES_MAX if limit is None else limit,
        raw_body=opt.get("raw_body", False),
        query=opt.get("query"),
        ids=frozenset(name for name in names if name in fields and _is_id(fields[name].annotation)),
        is_documented=handler.resolve_include_in_schema(),
        docs=docs,
        responses=(
            ResponseDocs(
                handler.status_code,
                docs.response,
                _body_type(handler.parsed_fn_signature.return_type.annotation),
                docs.example,
                docs.headers,
                docs.media_types,
            ),
            *docs.also,
        ),
    )


def _is_id(annotation: Any) -> bool:
    # The ids of things are types of their own that are UUIDs.
    while hasattr(annotation, "__supertype__"):
        annotation = annotation.__supertype__
    return annotation is UUID


def _body_type(annotation: Any) -> Any:
    """Return the type of a response's body by what its handler returns; None where that is bytes, or nothing."""
    if get_origin(annotation) is not None and issubclass(get_origin(annotation), Response):
        (annotation,) = get_args(annotation)
    return None if annotation in (None, type(None), bytes, str) else annotation
