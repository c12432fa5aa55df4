"""Bodies and queries: read within their limits, decoded into structs, refused field by field."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from api.http.pipeline.errors import ClientGone, NotJson, PayloadTooLarge, UnsupportedMediaType
from domain.errors import Invalid

T = TypeVar("T", bound=msgspec.Struct)
Receive = Callable[[], Awaitable[Any]]

STRINGS_MAX = 16_384
"""How many strings JSON may have, names of fields included: each of them is checked by itself, whatever its length."""
QUERY_FIELDS_MAX = 32
SHOWN_MAX = 200
"""How many characters of what the client wrote are told again."""
_JSON_TYPES = (b"application/json", b"application/json;charset=utf-8")
_LENGTH_DIGITS_MAX = 18
_UNKNOWN, _MISSING = "Object contains unknown field `", "Object missing required field `"
_AT, _AT_KEY = " - at `$", " - at `key in $"
"""How msgspec tells where in a value something is wrong."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body or a query with no fields."""


async def read_body(limit: int, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Return the whole body, of ``limit`` bytes at most. Raises PayloadTooLarge as soon as it is known, ClientGone."""
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > _LENGTH_DIGITS_MAX or int(declared) > limit:
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


def decode_body(kind: type[msgspec.Struct] | None, headers: Mapping[bytes, bytes], body: bytes) -> Any:
    """Return the body as its struct; None: there should be none. Raises UnsupportedMediaType, NotJson or Invalid."""
    if kind is None and not body:
        return Nothing()
    content_type = headers.get(b"content-type", b"").lower().replace(b" ", b"").replace(b'"', b"")
    if content_type not in _JSON_TYPES:
        raise UnsupportedMediaType()
    return decode_json(body, kind or Nothing)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Return JSON as a struct. Raises NotJson or Invalid.

    How deep it is nested is bounded by the parser: it follows a type only as deep as that goes, and passes over what
    it does not look into no deeper than Python's own limit of recursion.
    """
    if _strings_in(body) > STRINGS_MAX:
        raise NotJson(reason=f"more than {STRINGS_MAX} strings")
    try:
        body.decode()  # The parser looks only into the texts that it makes; what is kept as it came is no text yet.
        decoded = _decoder(kind).decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(fields=_wrong_fields(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(reason=_reason(error)) from None
    if b"\\u0000" in body:
        _refuse_nul(decoded)
    return decoded  # type: ignore[no-any-return]


def decode_query(wanted: type[msgspec.Struct] | None, query_string: bytes) -> Any:
    """Return the query as its struct; None: there should be none. Raises Invalid."""
    kind = wanted or Nothing
    if not query_string and wanted is None:
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
        # The parser would take as well what only looks like a whole number, such as 1e3 or +5.
        if name in _whole_numbers(kind) and not (value.isascii() and value.isdigit()):
            raise Invalid(fields={name: "must be a whole number, in digits"})
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(fields=_wrong_fields(str(error))) from None


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


@cache
def _whole_numbers(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Return the names of the fields that are whole numbers."""
    shape = msgspec.inspect.type_info(kind)
    assert isinstance(shape, msgspec.inspect.StructType), "a query is a struct"
    return frozenset(field.encode_name for field in shape.fields if _is_whole(field.type))


def _is_whole(shape: msgspec.inspect.Type) -> bool:
    match shape:
        case msgspec.inspect.Metadata():
            return _is_whole(shape.type)
        case msgspec.inspect.UnionType():
            return any(_is_whole(one) for one in shape.types)
        case _:
            return isinstance(shape, msgspec.inspect.IntType)


def _strings_in(body: bytes) -> int:
    """Return how many strings JSON has; of anything else, how many it might have."""
    quotes = body.count(b'"')
    if quotes > 2 * STRINGS_MAX and b"\\" in body:
        # Those that are escaped end no string. A backslash that is escaped itself escapes nothing.
        quotes -= body.replace(b"\\\\", b"").count(b'\\"')
    return quotes // 2


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _wrong_fields(message: str) -> dict[str, str]:
    # Read from the end, where the path is: what stands before it, the client may have written.
    why, found, path = message.rpartition(_AT)
    if not found:
        why, found, path = message.rpartition(_AT_KEY)
    if not found:
        why, path = message, ""
    path = path.removesuffix("`")
    for beginning, what in ((_UNKNOWN, "unknown field"), (_MISSING, "required")):
        if why.startswith(beginning):
            return {_path(path, why.removeprefix(beginning).removesuffix("`")): what}
    return {_path(path): _lower_first(why[:SHOWN_MAX])}


def _path(at: str, name: str = "") -> str:
    """Turn the path that msgspec tells, such as ``.vms[...]``, into a field's name."""
    return ".".join(part for part in (at.removeprefix("."), name) if part)[:SHOWN_MAX] or "body"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _refuse_nul(decoded: msgspec.Struct) -> None:
    for name, text in _texts("", decoded):
        if "\0" in text:
            raise Invalid(fields={name or "body": "must not have NUL characters"})


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every text in a decoded value with where it stands; it is nested no deeper than its type."""
    match value:
        case str():
            yield name, value
        case msgspec.Struct():
            for field in msgspec.structs.fields(value):
                path = f"{name}.{field.encode_name}" if name else field.encode_name
                yield from _texts(path, getattr(value, field.name))
        case dict():
            for key, inner in value.items():
                path = f"{name}.{str(key)[:SHOWN_MAX]}".replace("\0", "\\0")
                yield path, str(key)
                yield from _texts(path, inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(name, inner)
