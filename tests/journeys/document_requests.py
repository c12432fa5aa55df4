"""Requests as the OpenAPI document has them, and as it does not: strategies made from its schemas."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
LINE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
JUNK: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
HEADERS = ("Idempotency-Key", "Accept", "X-Request-Id", "User-Agent", "Range", "Last-Event-ID", "Stripe-Signature")


class Sent(msgspec.Struct, frozen=True):
    """A request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def requests(document: Mapping[str, Any], path: str, method: str, known_ids: tuple[str, ...]) -> Strategy:
    """Return requests for an operation; ``known_ids``: of things that are there."""
    operation = document["paths"][path][method]
    schemas = document["components"]["schemas"]
    ids = st.sampled_from(known_ids) | st.uuids().map(str)
    variables, asked = {}, {}
    for parameter in operation.get("parameters", ()):
        value = _value(parameter["schema"], schemas).map(_written)
        if parameter["in"] == "path":
            is_id = parameter["schema"].get("format") == "uuid"
            variables[parameter["name"]] = (ids if is_id else value) | TEXT.filter(bool)
        elif parameter["in"] == "query":
            asked[parameter["name"]] = value | TEXT
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body: Strategy = st.binary(max_size=200) | JUNK.map(_encoded)
    if content is not None:
        as_told = _value(content["schema"], schemas)
        body = as_told.map(_encoded) | as_told.map(_encoded) | body
    elif method in ("get", "delete", "post"):
        body = st.just(b"") | body
    return st.builds(
        lambda values, query, extra, headers, content, kind: Sent(
            method.upper(),
            _path(path, values) + _query(query | extra),
            {**headers, "Content-Type": kind},
            content,
        ),
        st.fixed_dictionaries(variables),
        st.fixed_dictionaries({}, optional=asked),
        st.just({}) | st.just({}) | st.dictionaries(TEXT, TEXT, max_size=2),
        st.dictionaries(st.sampled_from(HEADERS), LINE, max_size=2),
        body,
        st.just("application/json") | st.just("application/json") | LINE,
    )


def _path(path: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


def _query(asked: Mapping[str, str]) -> str:
    return f"?{urlencode(asked)}" if asked else ""


def _encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Strategy:
    """Return values that a schema takes, and now and then one that it does not."""
    return st.integers(0, 9).flatmap(lambda dice: JUNK if dice == 0 else _taken(schema, schemas))


def _taken(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Strategy:
    if "$ref" in schema:
        return _value(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return st.one_of([_value(one, schemas) for one in schema[several]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case "string":
            return _text(schema)
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.integers(-100, 6_000).map(lambda cents: cents / 100) | st.floats(allow_nan=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            items = schema.get("items", {})
            return st.lists(_value(items, schemas) if isinstance(items, dict) else JUNK, max_size=4)
        case "object":
            return _object(schema, schemas)
        case _:
            return JUNK


def _text(schema: Mapping[str, Any]) -> Strategy:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda at: f"{at.isoformat()}Z") | TEXT
    examples = schema.get("examples", ())
    found: Strategy = TEXT | st.sampled_from(examples) if examples else TEXT
    return found | st.from_regex(schema["pattern"]) if "pattern" in schema else found


def _object(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Strategy:
    fields = {name: _value(one, schemas) for name, one in schema.get("properties", {}).items()}
    needed = set(schema.get("required", ()))
    if not fields:
        beyond = schema.get("additionalProperties")
        return st.dictionaries(TEXT, _value(beyond, schemas) if isinstance(beyond, dict) else JUNK, max_size=4)
    return st.fixed_dictionaries(
        {name: one for name, one in fields.items() if name in needed},
        optional={name: one for name, one in fields.items() if name not in needed},
    )
