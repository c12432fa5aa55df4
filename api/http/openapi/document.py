"""The OpenAPI 3.1 document, made from the same declarations that requests are routed and checked by."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from api.http.openapi.error_facts import FACTS, RETRY_STATUSES, meaning_of
from api.http.pipeline.endpoint import Endpoint, Told
from api.http.pipeline.errors import (
    STATUS,
    HeadersTooLarge,
    IdempotencyKeyReused,
    InternalError,
    NotJson,
    PayloadTooLarge,
    RateLimited,
    StoreBusy,
    StoreDown,
    TooSlow,
    UnsupportedMediaType,
)
from domain.accounts.account import Unauthorized
from domain.errors import Invalid, NotFound, Refusal
from domain.tokens.token import ForbiddenForTokens, InsufficientScope

VERSION = "1"
_ID = {"type": "string", "format": "uuid"}
_REF = "#/components/schemas/{name}"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_DESCRIPTION = """\
Virtual machines by the minute, prepaid. Log in for a JWT, or have an access token; pick a plan, make a VPS, wait
until it is running, run commands in it. Every answer to an account tells its balance in `X-Balance-Remaining`.
Errors are `{"error", "code", …}`, or RFC 9457 problems for clients that accept `application/problem+json`. Every POST
of an account takes an `Idempotency-Key`."""
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request; your own is kept if it is plain.",
        "schema": {"type": "string"},
    },
    "X-Balance-Remaining": {
        "description": "The balance in USD after this request, 4 decimals, rounded down.",
        "schema": {"type": "string", "pattern": r"^-?\d+\.\d{4}$", "examples": ["10.5000"]},
    },
    "X-Balance-Exhausts-At": {
        "description": "When the balance will not cover a minute, if all that is on stays on; absent where nothing is.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "RateLimit-Policy": {"description": "The quota: requests and window in seconds.", "schema": {"type": "string"}},
    "RateLimit": {"description": "What is left of the quota.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "Always ``Bearer``.", "schema": {"type": "string"}},
    "X-Total-Count": {
        "description": "How many there are in all; absent where too many would have to be looked through for it.",
        "schema": {"type": "integer"},
    },
    "Content-Disposition": {"description": "What a file of it is called.", "schema": {"type": "string"}},
    "Link": {"description": "The next and the previous page (RFC 8288).", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "``true`` where this is the outcome of an earlier request.",
        "schema": {"type": "string"},
    },
}


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A session, from a login."},
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "vtk_…",
        "description": "An access token; where a scope is named, it must have been made with it.",
    },
}


def document(endpoints: Sequence[Endpoint], url: str) -> dict[str, Any]:
    """Return the document of these endpoints, served at ``url``."""
    structs = _structs(endpoints)
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REF)
    schema_of = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, lambda kind: schema_of[kind])
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "LiteVPS", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM, **_refusal_schemas(endpoints)},
            "headers": _HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }


def refusals_of(endpoint: Endpoint) -> list[type[Refusal]]:
    """Return every refusal that an endpoint may answer, by status."""
    found: dict[type[Refusal], None] = dict.fromkeys(endpoint.refusals)
    found |= dict.fromkeys((HeadersTooLarge, InternalError, StoreBusy, StoreDown))
    if endpoint.who == "account":
        found |= dict.fromkeys((Unauthorized, RateLimited))
        if endpoint.scope != "any":
            found[ForbiddenForTokens if endpoint.scope is None else InsufficientScope] = None
        if endpoint.method == "POST":
            found |= dict.fromkeys((IdempotencyKeyReused, Invalid))
    if endpoint.method != "GET":
        found |= dict.fromkeys((TooSlow, PayloadTooLarge))
    if endpoint.method != "GET" and not endpoint.raw_body:
        found |= dict.fromkeys((Invalid, NotJson, UnsupportedMediaType))
    if endpoint.query is not None:
        found[Invalid] = None
    if "{" in endpoint.path:
        found[NotFound] = None
    return sorted(found, key=lambda kind: (STATUS[kind], kind.code))


def _operation(endpoint: Endpoint, schema_of: Callable[[Any], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "security": _security(endpoint),
        "responses": {},
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if parameters := [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header_parameters(endpoint)]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content: dict[str, Any] = {"schema": schema_of(endpoint.body)}
        if endpoint.body_example is not None:
            content["example"] = endpoint.body_example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    for told in endpoint.told:
        operation["responses"][str(told.status)] = _told(endpoint, told, schema_of)
    for status, kinds in _by_status(refusals_of(endpoint)).items():
        operation["responses"][str(status)] = _refused(endpoint, status, kinds)
    return operation


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.who == "public":
        return []
    if endpoint.scope is None:
        return [{"bearer": []}]
    return [{"bearer": []}, {"token": [] if endpoint.scope == "any" else [endpoint.scope]}]


def _told(endpoint: Endpoint, told: Told, schema_of: Callable[[Any], Any]) -> dict[str, Any]:
    names = [*_common_headers(endpoint), *told.headers]
    if endpoint.who == "account" and endpoint.method == "POST":
        names.append("Idempotency-Replayed")
    response: dict[str, Any] = {"description": told.description, "headers": _header_refs(names)}
    if told.body is not None:
        schemas = [schema_of(kind) for kind in told.bodies]
        content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
        if told.example is not None:
            content["example"] = told.example
        response["content"] = {"application/json": content} | {kind: {} for kind in told.also}
    return response


def _refused(endpoint: Endpoint, status: int, kinds: list[type[Refusal]]) -> dict[str, Any]:
    stranger = status == 401 and endpoint.who == "account"
    names = ["X-Request-Id"] if stranger else _common_headers(endpoint)
    names += ["Retry-After"] if status in RETRY_STATUSES else []
    names += ["WWW-Authenticate"] if status == 401 else []
    refs = [{"$ref": _REF.format(name=_schema_name(kind))} for kind in kinds]
    return {
        "description": "; ".join(kind.sentence for kind in kinds),
        "headers": _header_refs(names),
        "content": {
            "application/json": {
                "schema": refs[0] if len(refs) == 1 else {"oneOf": refs},
                "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
            },
            "application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}},
        },
    }


def _common_headers(endpoint: Endpoint) -> list[str]:
    names = ["X-Request-Id"]
    if endpoint.who == "account":
        names += ["X-Balance-Remaining", "X-Balance-Exhausts-At"]
    if endpoint.who == "account" or endpoint.quota is not None:
        names += ["RateLimit-Policy", "RateLimit"]
    return names


def _header_refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": endpoint.path_schemas.get(name, _ID)}
        for name in _PATH_PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    (_,), components = msgspec.json.schema_components([endpoint.query], ref_template=_REF)
    fields: dict[str, dict[str, Any]] = components[endpoint.query.__name__]["properties"]
    parameters = []
    for name, field in fields.items():
        schema = without_null(field)
        parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        if description := schema.pop("description", None):
            parameter["description"] = description
        parameters.append(parameter)
    return parameters


def without_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that is left out rather than null."""
    schema = {name: value for name, value in field.items() if not (name == "default" and value is None)}
    options = [option for option in schema.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        schema = {**options[0], **schema}
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def _header_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.who != "account" or endpoint.method != "POST":
        return []
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": "The same key and body within 24 hours answers the first outcome again.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
    ]


def _by_status(kinds: Iterable[type[Refusal]]) -> dict[int, list[type[Refusal]]]:
    grouped: dict[int, list[type[Refusal]]] = {}
    for kind in kinds:
        grouped.setdefault(STATUS[kind], []).append(kind)
    return grouped


def _structs(endpoints: Sequence[Endpoint]) -> list[Any]:
    found: dict[Any, None] = {}
    for endpoint in endpoints:
        if endpoint.body is not None:
            found[endpoint.body] = None
        found |= dict.fromkeys(kind for told in endpoint.told for kind in told.bodies)
    return list(found)


def _refusal_schemas(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    kinds = {kind for endpoint in endpoints for kind in refusals_of(endpoint)}
    return {_schema_name(kind): _schema(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)}


def _schema_name(kind: type[Refusal]) -> str:
    return kind.__name__.removesuffix("Error") + "Error"


def _schema(kind: type[Refusal]) -> dict[str, Any]:
    facts = FACTS.get(kind, {})
    return {
        "type": "object",
        "description": meaning_of(kind),
        "properties": {
            "error": {"const": kind.sentence},
            "code": {"const": kind.code},
            **{name: {k: v for k, v in fact.items() if k != "example"} for name, fact in facts.items()},
        },
        "required": ["error", "code"],
    }


def _example(kind: type[Refusal]) -> dict[str, Any]:
    facts = {name: fact["example"] for name, fact in FACTS.get(kind, {}).items()}
    return {"error": kind.sentence, "code": kind.code, **facts}


_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "The same facts as RFC 9457 has them.",
    "properties": {
        "type": {"type": "string", "examples": ["urn:litevps:error:not_found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "error", "code"],
}
