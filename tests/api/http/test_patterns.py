"""Patterns hold to the end: what a pattern of the document refuses is refused, a last newline first of all."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from api.http.openapi.document import document
from api.http.pipeline.client_request import client_request_reader
from api.http.pipeline.operation import Operation
from api.http.routes import operations
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio

DOCUMENT = document(operations(), "http://litevps.test")
GOOD = {"cursor": "before.1", "user": "root", "env": "FOO", "month": "2026-11"}
"""By name of a field with a pattern: what its pattern takes."""
BESIDE: dict[str, dict[str, Any]] = {"exec_command": {"command": "true"}}
"""By operation: what else its body needs."""

Patterned = tuple[str, str, str, str, str, str]
"""Method, path, operation, where, name, pattern."""


def patterns() -> Iterator[Patterned]:
    """Yield every pattern that the document has for what clients send, unless it leaves the end open."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            found = [(one["in"], one["name"], one["schema"]) for one in operation.get("parameters", ())]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is not None:
                schema = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
                found += [("body", name, field) for name, field in schema["properties"].items()]
            for where, name, schema in found:
                for pattern in patterns_in(schema):
                    if pattern.endswith("$"):
                        yield method.upper(), path, operation["operationId"], where, name, pattern


def patterns_in(schema: Any) -> Iterator[str]:
    """Yield the patterns of a schema and of what is in it."""
    for name, part in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if name == "pattern":
            yield part
        elif isinstance(part, dict | list):
            yield from patterns_in(part)


@pytest.mark.parametrize("patterned", list(patterns()), ids=lambda one: f"{one[2]}-{one[4]}")
async def test_a_last_newline_is_refused(shared: House, anybody: Customer, patterned: Patterned) -> None:
    method, path, operation, where, name, pattern = patterned
    vps = (await anybody.ask("POST", "/api/vps", json={"name": "a", "plan_id": await shared.nano()})).json()
    assert name in GOOD, f"say what {pattern} takes"
    wrong = GOOD[name] + "\n"
    path = path.replace("{vps_id}", vps["id"])
    more: dict[str, Any] = {}
    if where == "path":
        path = path.replace(f"{{{name}}}", quote(wrong, safe=""))
    elif where == "query":
        path = f"{path}?{name}={quote(wrong)}"
    else:
        more["json"] = {**BESIDE.get(operation, {}), name: {wrong: "x"} if name == "env" else wrong}

    told = await anybody.ask(method, path, **more)

    assert (told.status_code, told.json()["code"]) == (400, "invalid_request")
    assert [field.partition(".")[0] for field in told.json()["fields"]] == [name]


def test_there_are_patterns_to_try() -> None:
    assert {one[4] for one in patterns()} == set(GOOD)


@pytest.mark.parametrize("endpoint", operations(), ids=lambda one: one.name)
def test_no_struct_leaves_a_pattern_to_the_parser(endpoint: Operation) -> None:
    # Its `$` lets a last newline through, and it looks at each of many strings before it counts them.
    for kind in filter(None, (endpoint.body, endpoint.query)):
        assert list(patterns_of(msgspec.inspect.type_info(kind))) == []


def patterns_of(told: Any) -> Iterator[str]:
    """Yield the patterns that the parser would look for in a type."""
    if isinstance(told, msgspec.inspect.StrType) and told.pattern is not None:
        yield told.pattern
    for part in told.__struct_fields__ if isinstance(told, msgspec.Struct) else ():
        inner = getattr(told, part)
        for one in inner if isinstance(inner, tuple) else (inner,):
            if isinstance(one, msgspec.inspect.Type | msgspec.inspect.Field):
                yield from patterns_of(one)


async def test_headers_are_taken_whole(here: House) -> None:
    read = client_request_reader(here.runtime.ids, ())({"headers": [(b"x-request-id", b"mine\n")], "client": None})

    assert read.client.request_id != "mine\n"
