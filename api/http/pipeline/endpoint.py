"""An endpoint: one method of one path, declared once for routing, for checks and for the OpenAPI document."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec

from api.http.pipeline.call import Answer, Call
from domain.accounts.ports import Quota
from domain.errors import Refusal
from domain.tokens.token import Need

Who = Literal["public", "account"]
"""Anybody, or whoever shows a session or a token of an account."""

BODY_BYTES_MAX = 64 * 1024


class Told(msgspec.Struct, frozen=True):
    """An answer that an endpoint gives, for the document."""

    status: int
    description: str
    body: Any = None
    """The type of the body, None where there is none."""
    example: Any = None
    headers: tuple[str, ...] = ()
    """Names of headers beyond those that every answer has."""
    also: tuple[str, ...] = ()
    """Other types than JSON that the same is offered in."""
    or_else: Any = None
    """Another type that the body may be of."""

    @property
    def bodies(self) -> list[Any]:
        """Return every type that the body may be of."""
        return [kind for kind in (self.body, self.or_else) if kind is not None]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything that is to be known of one method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    """With ``{names}`` for its variable parts, each of which is an id unless ``path_schemas`` says otherwise."""
    path_schemas: Mapping[str, Mapping[str, Any]] = {}
    """By name: the JSON schema of a variable part that is no id."""
    name: str
    """The operation's id in the document."""
    tag: str
    summary: str
    description: str = ""
    who: Who
    scope: Need = None
    """What an access token must be allowed to ask it; ``any``: every token may; None: only a session."""
    handle: Callable[[Call], Awaitable[Answer]]
    body: type[msgspec.Struct] | None = None
    body_example: Any = None
    body_bytes_max: int = BODY_BYTES_MAX
    raw_body: bool = False
    """The body is taken as it is, of whatever type; the handler reads it."""
    query: type[msgspec.Struct] | None = None
    told: tuple[Told, ...]
    refusals: tuple[type[Refusal], ...] = ()
    """Beyond those that every endpoint of its kind may give."""
    quota: Quota | None = None
    """Counted per client address; None for public endpoints that cost nothing."""
