"""The HTTP reference as Markdown, made from the OpenAPI document.

``python -m api.http.openapi.reference > docs/reference/http.md``
"""

import json
import sys
from typing import Any

from api.application.settings import Settings
from api.http.openapi.document import document, without_null
from api.http.openapi.error_facts import FACTS, meaning_of
from api.http.pipeline.errors import STATUS, MethodNotAllowed
from api.http.routes import operations

_OPENING = """\
# The HTTP API

Made from the service's own OpenAPI document by `python -m api.http.openapi.reference`; a running service tells it at
`/openapi.json`. What holds for every request comes first, then each call, then every error.

"""
_LIMITS = (
    ("minLength", "at least", " characters"),
    ("maxLength", "at most", " characters"),
    ("maxItems", "at most", ""),
    ("maxProperties", "at most", " of them"),
)
_RULES = """\
## What holds everywhere

| rule | |
| --- | --- |
| authentication | `Authorization: Bearer <jwt>` from `POST /api/auth/login`, good for 12 hours (a session), or `Bearer vtk_…` from `POST /api/tokens` (an access token); that one has ended, by a logout, a new password or being revoked, is seen at once by every process |
| balance | every answer to an account, errors included, has `X-Balance-Remaining`: USD, 4 decimals, rounded down; while something is on that costs money, also `X-Balance-Exhausts-At`: when the balance will not cover a minute, if all that is on stays on |
| money | JSON numbers: balances with 4 decimals rounded down, what is required with 4 rounded up, all else exact with up to 6; `balance_micros` is exact |
| ids, times | UUIDv7 in lower case; RFC 3339 in UTC with `Z` |
| errors | `{"error":"<sentence>","code":"<code>", …}`, or RFC 9457 for `Accept: application/problem+json` |
| request ids | `X-Request-Id` on every answer; your own is kept if it matches `[A-Za-z0-9._-]{1,64}` |
| lists | bare arrays, newest first; `limit` (20, at most 100), `offset` or `cursor`; `X-Total-Count`, and `Link`, by whose cursors no row is skipped or repeated |
| rate limits | 429 with `Retry-After`, `RateLimit-Policy`, `RateLimit`; counted for all processes together |
| idempotency | any POST of an account takes `Idempotency-Key`: the same key and request within 24 hours answers the first outcome again, with `Idempotency-Replayed: true`; another request under the key is a 422; a refusal leaves the key free |

"""  # noqa: E501 — rows of a table.


def reference(openapi: dict[str, Any]) -> str:
    """Return the whole reference for an OpenAPI document."""
    calls = [
        _call(method.upper(), path, operation, openapi["components"]["schemas"])
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
    ]
    return _OPENING + _RULES + "## Calls\n\n" + "\n".join(calls) + "\n" + _errors(openapi)


def _call(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"### `{method} {path}`", "", _sentence(operation), ""]
    parameters = [one for one in operation.get("parameters", []) if one["in"] == "query"]
    if parameters:
        lines += ["| in the query | type | |", "| --- | --- | --- |"]
        lines += [f"| `{one['name']}` | {_type(one['schema'])} | {one.get('description', '')} |" for one in parameters]
        lines.append("")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "schema" in body:
        lines += _fields(schemas[body["schema"]["$ref"].rpartition("/")[2]])
    if "example" in body:
        lines += ["Example:", "", *_block(body["example"])]
    for status, response in operation["responses"].items():
        if int(status) < 400:
            lines += _answer(status, response)
    refused = ", ".join(
        f"`{status} {code}`"
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get("application/json", {}).get("examples", {})
        if int(status) >= 400
    )
    return "\n".join([*lines, f"Refusals: {refused}", ""])


def _fields(schema: dict[str, Any]) -> list[str]:
    lines = ["| in the body | type | default | |", "| --- | --- | --- | --- |"]
    for name, field in schema["properties"].items():
        default = "required" if name in schema["required"] else f"`{json.dumps(field.get('default'))}`"
        plain = without_null(field)
        lines.append(f"| `{name}` | {_type(plain)} | {default} | {plain.get('description', '')} |")
    return [*lines, ""]


def _sentence(operation: dict[str, Any]) -> str:
    return " ".join(filter(None, (f"{operation['summary']}.", operation.get("description", ""), _who(operation))))


def _who(operation: dict[str, Any]) -> str:
    match operation["security"]:
        case []:
            return "For anybody."
        case [_, {"token": [scope]}]:
            return f"For sessions, and tokens with the scope `{scope}`."
        case [_, {"token": []}]:
            return "For sessions and tokens."
        case _:
            return "For sessions only."


def _answer(status: str, response: dict[str, Any]) -> list[str]:
    lines = [f"{status}: {response['description']}", ""]
    example = response.get("content", {}).get("application/json", {}).get("example")
    return lines if example is None else [*lines, *_block(example)]


def _block(example: object) -> list[str]:
    return ["```json", json.dumps(example, ensure_ascii=False, indent=2), "```", ""]


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return "object"
    bounds = [f"{schema[name]}" for name in ("minimum", "maximum") if name in schema]
    if bounds and "maximum" not in schema:
        bounds = [f"from {schema['minimum']} on"]
    kind: str = schema.get("format", schema["type"])
    if "items" in schema:
        kind = f"list of {_type(schema['items'])}"
    elif kind == "object":
        kind = f"object of {_type(schema['additionalProperties'])}"
    limits = [f"{limit} {schema[name]}{unit}" for name, limit, unit in _LIMITS if name in schema]
    return ", ".join([kind + (f" {' to '.join(bounds)}" if bounds else ""), *limits])


def _errors(openapi: dict[str, Any]) -> str:
    answered = {
        code
        for operations in openapi["paths"].values()
        for operation in operations.values()
        for response in operation["responses"].values()
        for code in response.get("content", {}).get("application/json", {}).get("examples", {})
    } | {MethodNotAllowed.code}
    lines = ["## Errors", "", "| status | code | sentence | beside it | when |", "| --- | --- | --- | --- | --- |"]
    for kind, status in sorted(STATUS.items(), key=lambda one: (one[1], one[0].code)):
        if kind.code not in answered:
            continue  # Of commands that no call gives.
        facts = ", ".join(f"`{name}`" for name in FACTS.get(kind, {}))
        lines.append(f"| {status} | `{kind.code}` | {kind.sentence} | {facts} | {meaning_of(kind)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference(document(operations(), Settings().url)))
