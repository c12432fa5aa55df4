"""Reading bodies and queries: what is taken, what is refused by name, and that neither takes long."""

from contextlib import suppress
from time import thread_time

import pytest

from api.http.exec.schemas import Command
from api.http.pipeline.bodies import decode_json
from api.http.pipeline.errors import NotJson
from domain.errors import Refusal
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "number", ["1e3", "1E3", "1.0", " 5", "5 ", "+5", "-5", "0x10", "1_000", "５", "٥", "²", "", "5\n", "1" * 400]
)
async def test_a_number_in_a_query_is_plain_digits(anybody: Customer, number: str) -> None:
    for field in ("limit", "offset"):
        response = await anybody.ask("GET", "/api/vps", params={field: number})
        assert (response.status_code, set(response.json()["fields"])) == (400, {field})
    assert (await anybody.ask("GET", "/api/vps?limit=5&offset=5")).status_code == 200


async def test_an_unknown_field_of_a_query_is_refused_by_name(ann: Customer) -> None:
    for query, field in (
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("limit=x", "limit"),
        ("a=1", "a"),
    ):
        response = await ann.ask("GET", f"/api/vps?{query}")
        assert response.status_code == 400
        assert set(response.json()["fields"]) == {field}


@pytest.mark.parametrize("deep", [b"[" * 60_000, b'{"amount":' * 6_000, b"[" * 30_000 + b"]" * 30_000])
async def test_deep_nesting_is_400(ann: Customer, deep: bytes) -> None:
    for body in (
        deep,
        b'{"x":' + deep + b"}",
        b'{"amount":' + deep + b"}",
        b'{"amount":' + b"[" * 500 + b"]" * 500 + b"}",
    ):
        headers = {"content-type": "application/json"}
        response = await ann.ask("POST", "/api/billing/add-funds", content=body, headers=headers)
        assert response.status_code == 400
        assert response.json()["code"] in ("invalid_json", "invalid_request")


async def test_what_a_client_made_up_is_not_told_at_length(here: House) -> None:
    for body in ({"x" * 60_000: 1}, {"` - at `$" * 6_000: 1}):
        response = await here.client.post("/api/auth/login", json=body)
        assert (response.status_code, list(response.json()["fields"].values())) == (400, ["unknown field"])
        assert len(response.content) < 500


async def test_a_backslash_before_u0000_is_only_text(here: House, ann: Customer) -> None:
    response = await ann.ask(
        "POST",
        "/api/ssh-keys",
        content=rb'{"name":"a\\u0000b","public_key":"x"}',
        headers={"content-type": "application/json"},
    )

    assert set(response.json()["fields"]) == {"public_key"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'{"email":"\xff"}', b'{"a' + b'"' * 60_000, b"[" + b'"",' * 20_000, b"NaN"],
)
async def test_what_is_no_json_is_400(here: House, body: bytes) -> None:
    response = await here.client.post("/api/auth/login", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 40 + b'"\\' * 2_000,
        b"[" * 40 + b'"' * 4_001,
        b'{"command":"true","env":{' + b'"A":"",' * 140_000 + b'"B":""}}',
        b'{"command":"' + b'\\"' * 500_000 + b'"}',
    ],
)
def test_json_is_read_at_once(body: bytes) -> None:
    began_s = thread_time()
    with suppress(Refusal):
        decode_json(body, Command)

    assert thread_time() - began_s < 0.05


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email": "required"}),
        ({"email": 1, "password": "x"}, {"email": "expected `str`, got `int`"}),
        ({"email": "a", "password": None}, {"password": "expected `str`, got `null`"}),
        ({"email": "a", "password": "b", "admin": True}, {"admin": "unknown field"}),
        ([], {"body": "expected `object`, got `array`"}),
        ({"email": "a\0b", "password": "x"}, {"email": "must not have NUL characters"}),
    ],
)
async def test_wrong_fields_are_named(here: House, body: object, fields: dict[str, str]) -> None:
    response = await here.client.post("/api/auth/login", json=body)

    assert response.status_code == 400
    assert response.json() == {"error": "invalid request", "code": "invalid_request", "fields": fields}


def test_quotes_in_a_text_are_no_strings_of_their_own() -> None:
    for text in ('\\"' * 100_000, '\\\\\\"' * 100_000, "\\\\" * 100_000):
        decode_json(b'{"command":"' + text.encode() + b'"}', Command)
    with pytest.raises(NotJson):
        decode_json(b'{"env":{' + b'"A\\\\":"",' * 20_000 + b'"B":""}}', Command)


@pytest.mark.parametrize("body", [b'{"amount":"\xff"}', b'{"amount":[{"\xc3\x28":1}]}', b'{"amount":1,"x\xff":1}'])
async def test_what_is_no_utf_8_anywhere_is_400(ann: Customer, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = await ann.ask("POST", "/api/billing/add-funds", content=body, headers=headers)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")
