"""The OpenAPI document: whole, true, and what the reference in the docs is made of."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.application.settings import Settings
from api.http.openapi.document import document, refusals_of
from api.http.openapi.reference import reference
from api.http.pipeline.errors import STATUS, refused
from api.http.pipeline.operation import Operation
from api.http.routes import operations
from domain.errors import Refusal
from domain.money import MicroUsd
from domain.wallet.funds import AccountFrozen, InsufficientBalance, TokenSpendLimitReached
from tests.api.houses import Customer, House

DOCS = Path(__file__).parents[3] / "docs"
TOLD: dict[str, Any] = json.loads(json.dumps(document(operations(), Settings().url)))


@pytest.mark.anyio
async def test_the_document_is_told_at_both_paths(here: House) -> None:
    one = await here.client.get("/openapi.json")
    other = await here.client.get("/api/openapi.json")

    assert one.status_code == other.status_code == 200
    assert one.json() == other.json() == TOLD
    assert one.json()["openapi"] == "3.1.0"


def test_every_reference_in_it_leads_somewhere() -> None:
    for ref in _refs(TOLD):
        place: Any = TOLD
        for step in ref.removeprefix("#/").split("/"):
            place = place[step]


def test_every_operation_has_a_name_of_its_own_an_example_and_its_errors() -> None:
    operations = [(path, method, one) for path, all_ in TOLD["paths"].items() for method, one in all_.items()]
    assert len({one["operationId"] for _, _, one in operations}) == len(operations)
    for path, method, operation in operations:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert {"500", "503"} <= set(operation["responses"]), where
        assert ("401" in operation["responses"]) >= bool(operation["security"]), where
        assert [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"] == re.findall(
            r"{(\w+)}", path
        )
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            schema = TOLD["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
            assert schema["additionalProperties"] is False, where
            assert set(content["example"]) <= set(schema["properties"]), where
            assert set(schema["required"]) <= set(content["example"]), where


def test_examples_have_the_fields_that_answers_have() -> None:
    for endpoint in documented():
        for told in endpoint.responses:
            example = told.example[0] if isinstance(told.example, list) else told.example
            kind = getattr(told.body, "__args__", (told.body,))[0]
            if example is not None and hasattr(kind, "__struct_encode_fields__"):
                assert set(example) == set(kind.__struct_encode_fields__), endpoint.name


def test_every_refusal_of_ours_has_a_status() -> None:
    assert {kind for kind in _descendants(Refusal) if kind.__module__.split(".")[0] != "tests"} == set(STATUS)
    assert len({kind.code for kind in STATUS}) == len(STATUS)


def test_what_is_beside_a_refusal_about_money_is_told_in_dollars() -> None:
    some = MicroUsd(42_000)
    for refusal in (
        InsufficientBalance(balance=some, required=some),
        AccountFrozen(owed=some, required=some),
        TokenSpendLimitReached(left=some, required=some),
    ):
        told = TOLD["components"]["schemas"][f"{type(refusal).__name__}Error"]
        assert set(json.loads(refused(refusal, as_problem=False).body)) == set(told["properties"])
        assert "micro-USD" not in told["description"]


def test_both_answers_of_a_start_are_told() -> None:
    answered = TOLD["paths"]["/api/vps/{vps_id}/start"]["post"]["responses"]["200"]
    shapes = answered["content"]["application/json"]["schema"]["oneOf"]
    assert [one["$ref"].rpartition("/")[2] for one in shapes] == ["VpsResponse", "QuoteResponse"]


def test_the_reference_in_the_docs_is_current() -> None:
    assert (DOCS / "reference" / "http.md").read_text() == reference(TOLD), "run make reference"


@pytest.mark.anyio
async def test_what_is_answered_is_what_is_told(here: House, ann: Customer) -> None:
    nothing = "01937b1e-5c00-7000-8000-000000000001"
    for endpoint in documented():
        path = re.sub(r"{\w+}", nothing, endpoint.path)
        body = endpoint.docs.body_example if endpoint.body is not None else None
        response = await ann.ask(endpoint.method, path, json=body)
        expected = {told.status for told in endpoint.responses} | {STATUS[kind] for kind in refusals_of(endpoint)}
        assert response.status_code in expected, endpoint.name
        told = TOLD["paths"][endpoint.path][endpoint.method.lower()]["responses"][str(response.status_code)]
        missing = {name for name in told["headers"] if name.lower() not in response.headers}
        assert missing <= {"Link", "Idempotency-Replayed", "X-Balance-Exhausts-At"}, endpoint.name
        if endpoint.name == "logout":
            login = {"email": ann.email, "password": "correct horse"}
            ann.token = (await here.client.post("/api/auth/login", json=login)).json()["token"]


def test_an_endpoint_is_declared_once() -> None:
    names = [(one.method, one.path) for one in operations()]
    assert len(set(names)) == len(names)


def documented() -> Iterator[Operation]:
    return (one for one in operations() if one.is_documented)


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from _refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _refs(inner)


def _descendants(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)
