"""What handlers say for the OpenAPI document that Litestar has no argument for."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

import msgspec

from domain.errors import Refusal


class ResponseDocs(msgspec.Struct, frozen=True):
    """A response that an operation gives."""

    status: int
    description: str
    body: Any = None
    """The type of the body, None where there is none; of several, their union."""
    example: Any = None
    headers: tuple[str, ...] = ()
    """Names of headers beyond those that every response has."""
    media_types: tuple[str, ...] = ()
    """Other types than JSON that the same is offered in."""

    @property
    def bodies(self) -> tuple[Any, ...]:
        """Return every type that the body may be of."""
        kinds = get_args(self.body) if isinstance(self.body, UnionType) else (self.body,)
        return tuple(kind for kind in kinds if kind not in (None, bytes))


class Docs(msgspec.Struct, frozen=True):
    """What there is to say of an operation."""

    response: str
    """Of the response that has the handler's own status, whose body is of the type that the handler returns."""
    example: Any = None
    headers: tuple[str, ...] = ()
    """Of that response, names of headers beyond those that every response has."""
    media_types: tuple[str, ...] = ()
    """Other types than JSON that it is offered in."""
    also: tuple[ResponseDocs, ...] = ()
    """Responses with another status."""
    refuses: tuple[type[Refusal], ...] = ()
    """Beyond those that every operation of its kind may give."""
    body_example: Any = None
    path_schemas: Mapping[str, Mapping[str, Any]] = {}
    """By name: the JSON schema of a variable part of the path that is no id."""
