"""Bodies and queries: read within their limits, decoded into structs, refused field by field."""

import re
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from api.http.call import Arrival
from api.http.endpoint import Endpoint
from api.http.errors import NotJson, PayloadTooLarge, UnsupportedMediaType
from domain.errors import Invalid

T = TypeVar("T", bound=msgspec.Struct)
Receive = Callable[[], Awaitable[Any]]

DEPTH_MAX = 32
"""How deep JSON may be nested."""
QUERY_FIELDS_MAX = 32
_JSON_TYPES = (b"application/json", b"application/json;charset=utf-8")
_CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$(.*)`)?", re.DOTALL)
_WRONG = re.compile(r"(.*?) - at `(?:key in )?\$(.*)`", re.DOTALL)


class ClientGone(Exception):
    """The client went away in the middle of its request: there is nobody to answer."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query with no fields."""


async def read_body(endpoint: Endpoint, arrival: Arrival, receive: Receive) -> bytes:
    """Return the whole body. Raises PayloadTooLarge as soon as that is known, and ClientGone."""
    limit = endpoint.body_bytes_max
    declared = arrival.headers.get(b"content-length", b"0")
    if not _CONTENT_LENGTH.fullmatch(declared) or int(declared) > limit:
        raise PayloadTooLarge(bytes_max=limit)
    chunks = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(bytes_max=limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def decode_body(endpoint: Endpoint, arrival: Arrival, body: bytes) -> Any:
    """Return the body as its struct. Raises UnsupportedMediaType, NotJson or Invalid."""
    kind = endpoint.body or Nothing
    if endpoint.raw_body or (not body and endpoint.body is None):
        return Nothing()
    content_type = arrival.headers.get(b"content-type", b"").lower().replace(b" ", b"").replace(b'"', b"")
    if content_type not in _JSON_TYPES:
        raise UnsupportedMediaType()
    return decode_json(body, kind)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Return JSON as a struct. Raises NotJson or Invalid."""
    if _depth_may_exceed(body):
        raise NotJson(reason=f"nested deeper than {DEPTH_MAX}")
    try:
        decoded = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(fields=_wrong_fields(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(reason=_reason(error)) from None
    if b"\\u0000" in body:
        _refuse_nul(body)
    return decoded  # type: ignore[no-any-return]


def decode_query(endpoint: Endpoint, query_string: bytes) -> Any:
    """Return the query as its struct. Raises Invalid."""
    kind = endpoint.query or Nothing
    if not query_string and endpoint.query is None:
        return Nothing()
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )
    except ValueError:
        raise Invalid(fields={"query": "cannot be read"}) from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Invalid(fields={"query": "names a field twice"})
    for name, value in pairs:
        if "\0" in value or "\0" in name:
            raise Invalid(fields={"query": "must not have NUL characters"})
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(fields=_wrong_fields(str(error))) from None


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def _depth_may_exceed(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > DEPTH_MAX and _depth(body) > DEPTH_MAX


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for token in re.finditer(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', body, re.DOTALL):
        if token[0] in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in (b"]", b"}"):
            depth -= 1
    return deepest


def _reason(error: Exception) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _wrong_fields(message: str) -> dict[str, str]:
    if (found := _UNKNOWN.fullmatch(message)) is not None:
        return {_path(found[2], found[1]): "unknown field"}
    if (found := _MISSING.fullmatch(message)) is not None:
        return {_path(found[2], found[1]): "required"}
    if (found := _WRONG.fullmatch(message)) is not None:
        return {_path(found[2]): _lower_first(found[1])}
    return {"body": _lower_first(message)}


def _path(at: str | None, name: str | None = None) -> str:
    """Turn the path that msgspec tells, such as ``.vms[...]``, into a field's name."""
    parts = [part for part in ((at or "").removeprefix("."), name) if part]
    return ".".join(parts)[:200] or "body"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refuse_nul(body: bytes) -> None:
    for name, text in _texts("", msgspec.json.decode(body)):
        if "\0" in text:
            raise Invalid(fields={name or "body": "must not have NUL characters"})


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield name, value
        case dict():
            for key, inner in value.items():
                path = f"{name}.{key}" if name else str(key)
                yield path.replace("\0", "\\0"), str(key)
                yield from _texts(path, inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(name, inner)
