"""The OpenAPI 3.1 document, made from the same declarations that requests are routed and checked by."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from api.application.refusals import RateLimited
from api.http.openapi.docs import ResponseDocs
from api.http.openapi.error_facts import FACTS, RETRY_STATUSES, meaning_of
from api.http.pipeline.errors import (
    HeadersTooLarge,
    IdempotencyKeyReused,
    InternalError,
    NotJson,
    PayloadTooLarge,
    StoreBusy,
    StoreDown,
    TooSlow,
    UnsupportedMediaType,
    status_of,
)
from api.http.pipeline.operation import Operation
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


def document(operations: Sequence[Operation], url: str) -> dict[str, Any]:
    """Return the document of these operations, served at ``url``."""
    operations = [one for one in operations if one.is_documented]
    structs = _structs(operations)
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REF)
    schema_of = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        item = _item(operation, lambda kind: schema_of[kind])
        paths.setdefault(operation.path, {})[operation.method.lower()] = item
    return {
        "openapi": "3.1.0",
        "info": {"title": "LiteVPS", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": url}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM, **_refusal_schemas(operations)},
            "headers": _HEADERS,
            "securitySchemes": _SCHEMES,
        },
    }


def refusals_of(operation: Operation) -> list[type[Refusal]]:
    """Return every refusal that an operation may answer, by status."""
    found: dict[type[Refusal], None] = dict.fromkeys(operation.docs.refuses)
    found |= dict.fromkeys((HeadersTooLarge, InternalError, StoreBusy, StoreDown))
    if not operation.public:
        found |= dict.fromkeys((Unauthorized, RateLimited))
        if operation.scope != "any":
            found[ForbiddenForTokens if operation.scope is None else InsufficientScope] = None
    if operation.has_idempotency_key:
        found |= dict.fromkeys((IdempotencyKeyReused, Invalid))
    if operation.method != "GET":
        found |= dict.fromkeys((TooSlow, PayloadTooLarge))
    if operation.method != "GET" and not operation.raw_body:
        found |= dict.fromkeys((Invalid, NotJson, UnsupportedMediaType))
    if operation.query is not None:
        found[Invalid] = None
    if "{" in operation.path:
        found[NotFound] = None
    return sorted(found, key=lambda kind: (status_of(kind), kind.code))


def _item(operation: Operation, schema_of: Callable[[Any], Any]) -> dict[str, Any]:
    item: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": _security(operation),
        "responses": {},
    }
    if operation.description:
        item["description"] = operation.description
    if parameters := [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)]:
        item["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": schema_of(operation.body)}
        if operation.docs.body_example is not None:
            content["example"] = operation.docs.body_example
        item["requestBody"] = {"required": True, "content": {"application/json": content}}
    for response in operation.responses:
        item["responses"][str(response.status)] = _response(operation, response, schema_of)
    for status, kinds in _by_status(refusals_of(operation)).items():
        item["responses"][str(status)] = _refused(operation, status, kinds)
    return item


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.public:
        return []
    if operation.scope is None:
        return [{"bearer": []}]
    return [{"bearer": []}, {"token": [] if operation.scope == "any" else [operation.scope]}]


def _response(operation: Operation, docs: ResponseDocs, schema_of: Callable[[Any], Any]) -> dict[str, Any]:
    names = [*_common_headers(operation), *docs.headers]
    if operation.has_idempotency_key:
        names.append("Idempotency-Replayed")
    response: dict[str, Any] = {"description": docs.description, "headers": _header_refs(names)}
    if docs.bodies:
        schemas = [schema_of(kind) for kind in docs.bodies]
        content: dict[str, Any] = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
        if docs.example is not None:
            content["example"] = docs.example
        response["content"] = {"application/json": content} | {kind: {} for kind in docs.media_types}
    return response


def _refused(operation: Operation, status: int, kinds: list[type[Refusal]]) -> dict[str, Any]:
    stranger = status == 401 and not operation.public
    names = ["X-Request-Id"] if stranger else _common_headers(operation)
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


def _common_headers(operation: Operation) -> list[str]:
    names = ["X-Request-Id"]
    if not operation.public:
        names += ["X-Balance-Remaining", "X-Balance-Exhausts-At"]
    if not operation.public or operation.quota is not None:
        names += ["RateLimit-Policy", "RateLimit"]
    return names


def _header_refs(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": operation.docs.path_schemas.get(name, _ID)}
        for name in _PATH_PARAMETER.findall(operation.path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    (_,), components = msgspec.json.schema_components([operation.query], ref_template=_REF)
    fields: dict[str, dict[str, Any]] = components[operation.query.__name__]["properties"]
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
    elif options:
        schema["anyOf"] = options
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    if not operation.has_idempotency_key:
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
        grouped.setdefault(status_of(kind), []).append(kind)
    return grouped


def _structs(operations: Sequence[Operation]) -> list[Any]:
    found: dict[Any, None] = {}
    for operation in operations:
        if operation.body is not None:
            found[operation.body] = None
        found |= dict.fromkeys(kind for docs in operation.responses for kind in docs.bodies)
    return list(found)


def _refusal_schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    kinds = {kind for operation in operations for kind in refusals_of(operation)}
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
