"""Hostile requests: whatever a stranger sends, the answer is a refusal in the contract's shape, never a 500."""

import base64
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import httpx
import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.jwt import ALGORITHM, AUDIENCE, ISSUER
from api.http.app import create_app
from api.http.pipeline.edge import Edge
from tests.api.houses import JWT_KEY, PASSWORD, Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio

NOBODYS = "01937b1e-5c00-7000-8000-000000000001"
EXAMPLES = 300
JSON_HEADER = (b"content-type", b"application/json")
JSON = {"content-type": "application/json"}
LOGIN = {"email": "ann@example.com", "password": PASSWORD}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINYwz+hWpOwxZUNGmIDQ9lJf0HlM6lMTLl9XcjdnCvw4"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@pytest.fixture(scope="module")
async def here(databases: Databases) -> AsyncIterator[House]:
    """One service for all of them: none may harm it."""
    async with house(databases) as made:
        yield made


@pytest.fixture(scope="module")
async def ann(here: House) -> Customer:
    """A customer with funds."""
    customer = await here.register("ann@example.com")
    await customer.credit(10_000_000)
    return customer


BODIES: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "no JSON": ("POST", "/api/vps", {"content": b"name=a", "headers": JSON}, 400),
    "half of JSON": ("POST", "/api/vps", {"content": b'{"name":"a"', "headers": JSON}, 400),
    "two values": ("POST", "/api/vps", {"content": b"{}{}", "headers": JSON}, 400),
    "no UTF-8": ("POST", "/api/vps", {"content": b'{"name":"\xc3\x28"}', "headers": JSON}, 400),
    "UTF-16": ("POST", "/api/vps", {"content": '{"name":"a"}'.encode("utf-16"), "headers": JSON}, 400),
    "a byte order mark": ("POST", "/api/vps", {"content": b"\xef\xbb\xbf{}", "headers": JSON}, 400),
    "half a surrogate pair": ("POST", "/api/ssh-keys", {"content": rb'{"name":"\ud800"}', "headers": JSON}, 400),
    "an array": ("POST", "/api/vps", {"json": []}, 400),
    "null": ("POST", "/api/vps", {"json": None, "content": b"null", "headers": JSON}, 400),
    "a number": ("POST", "/api/vps", {"json": 1}, 400),
    "nothing": ("POST", "/api/vps", {}, 415),
    "deep arrays": ("POST", "/api/vps", {"content": b'{"name":' + b"[" * 50_000, "headers": JSON}, 400),
    "deep objects": ("POST", "/api/vps", {"content": b'{"a":' * 20_000, "headers": JSON}, 400),
    "deep in an unknown field": (
        "POST",
        "/api/vps",
        {"content": b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "headers": JSON},
        400,
    ),
    "a name of 1 MB": ("POST", "/api/vps", {"json": {"name": "a" * 1_000_000, "plan_id": NOBODYS}}, 413),
    "a long name": ("POST", "/api/vps", {"json": {"name": "a" * 60_000, "plan_id": NOBODYS}}, 400),
    "NUL in a name": ("POST", "/api/vps", {"json": {"name": "a\0b", "plan_id": NOBODYS}}, 400),
    "NUL in a label": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "labels": {"a\0": "b"}}}, 400),
    "NUL in a command": ("POST", f"/api/vps/{NOBODYS}/exec", {"json": {"command": "a\0b"}}, 400),
    "a raw NUL": ("POST", "/api/vps", {"content": b'{"name":"a\x00"}', "headers": JSON}, 400),
    "a huge integer": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 10**400}}, 400),
    "a huge number": ("POST", "/api/vps", {"content": b'{"name":"a","vcpu":1e999}', "headers": JSON}, 400),
    "a negative size": ("POST", "/api/vps", {"json": {"name": "a", "memory_mb": -1}}, 400),
    "a fraction": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1.5}}, 400),
    "a truth for a size": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": True}}, 400),
    "NaN": ("POST", "/api/vps", {"content": b'{"name":"a","vcpu":NaN}', "headers": JSON}, 400),
    "an unknown field": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "admin": True}}, 400),
    "a field of the answer": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "state": "running"}}, 400),
    "a plan that is no id": ("POST", "/api/vps", {"json": {"name": "a", "plan_id": "'; DROP TABLE event; --"}}, 400),
    "a plan that is not there": ("POST", "/api/vps", {"json": {"name": "a", "plan_id": NOBODYS}}, 400),
    "keys that are no ids": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "ssh_key_ids": ["x"]}}, 400),
    "a thousand keys": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "ssh_key_ids": [NOBODYS] * 1000}}, 400),
    "a key for another name": ("POST", "/api/vps", {"json": {"name": "a", "vcpu": 1, "ssh_key_ids": [NOBODYS]}}, 400),
    "a key of another kind": ("POST", "/api/ssh-keys", {"json": {"name": "k", "public_key": "ssh-dss AAAA"}}, 400),
    "a key with options": ("POST", "/api/ssh-keys", {"json": {"name": "k", "public_key": f'command="sh" {KEY}'}}, 400),
    "two keys": ("POST", "/api/ssh-keys", {"json": {"name": "k", "public_key": f"{KEY}\n{KEY}"}}, 400),
    "a key cut short": ("POST", "/api/ssh-keys", {"json": {"name": "k", "public_key": KEY[:40]}}, 400),
    "a limit with a NUL beside": ("POST", "/api/tokens", {"json": {"name": "a\0", "spend_limit": 1.5}}, 400),
    "an endless limit": ("POST", "/api/tokens", {"json": {"name": "a", "spend_limit": 10**400}}, 400),
    "a limit that is an object": ("POST", "/api/tokens", {"json": {"name": "a", "spend_limit": {"a": 1}}}, 400),
    "a year without end": ("POST", "/api/tokens", {"json": {"name": "a", "expires_at": "99999-01-01T00:00:00Z"}}, 400),
    "no command": ("POST", f"/api/vps/{NOBODYS}/exec", {"json": {}}, 400),
    "an endless time limit": (
        "POST",
        f"/api/vps/{NOBODYS}/exec",
        {"json": {"command": "a", "timeout_seconds": 10**30}},
        400,
    ),
    "a variable that is none": (
        "POST",
        f"/api/vps/{NOBODYS}/exec",
        {"json": {"command": "a", "env": {"A=B": "c"}}},
        400,
    ),
    "a command for nobody's VPS": ("POST", f"/api/vps/{NOBODYS}/exec", {"json": {"command": "a"}}, 404),
    "an id in another spelling": ("GET", f"/api/vps/{{{NOBODYS}}}", {}, 404),
    "an id with a NUL": ("GET", "/api/vps/%00", {}, 404),
    "a path upwards": ("GET", "/api/vps/../../etc/passwd", {}, 404),
    "a path upwards, encoded": ("GET", "/api/vps/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 404),
    "a query with NUL": ("GET", "/api/vps?name=%00", {}, 400),
    "a query twice": ("GET", "/api/vps?limit=1&limit=2", {}, 400),
    "a query of no UTF-8": ("GET", "/api/vps?name=%ff", {}, 400),
    "a huge offset": ("GET", f"/api/vps?offset={10**40}", {}, 400),
    "a form": ("POST", "/api/vps", {"data": {"name": "a"}}, 415),
    "XML": ("POST", "/api/vps", {"content": b"<a/>", "headers": {"content-type": "application/xml"}}, 415),
    "a body for a method that has none": ("POST", "/api/auth/logout", {"json": {"all": True}}, 400),
    "another method": ("PATCH", "/api/vps", {"json": {}}, 405),
    "a method that nobody knows": ("BREW", "/api/vps", {}, 405),
    "a lying length": ("POST", "/api/vps", {"content": b"{}", "headers": {**JSON, "content-length": "-1"}}, 413),
    "an idempotency key that is too long": (
        "POST",
        "/api/ssh-keys",
        {"json": {"name": "k", "public_key": KEY}, "headers": {"idempotency-key": "x" * 1000}},
        400,
    ),
}


@pytest.mark.parametrize("hostile", BODIES)
async def test_a_hostile_request_is_refused(ann: Customer, hostile: str) -> None:
    method, path, more, status = BODIES[hostile]
    response = await ann.ask(method, path, **more)

    assert response.status_code == status, response.text
    assert_refused(response)
    assert response.headers["x-balance-remaining"] == "10.0000"


FORGERIES = (
    "none", "other key", "other issuer", "other audience", "expired", "no kid", "other kid", "no jti", "no subject",
    "subject is no id", "other algorithm", "nobody", "later password", "deep header", "huge", "key in header",
)  # fmt: skip


@pytest.mark.parametrize("hostile", FORGERIES)
async def test_a_forged_session_is_unauthorized(here: House, ann: Customer, hostile: str) -> None:
    response = await here.client.get("/api/me", headers={"authorization": f"Bearer {forged(here, ann, hostile)}"})

    assert (response.status_code, response.json()) == (401, {"error": "unauthorized", "code": "unauthorized"})
    assert "x-balance-remaining" not in response.headers


async def test_the_forger_could_sign_a_good_one(here: House, ann: Customer) -> None:
    response = await here.client.get("/api/me", headers={"authorization": f"Bearer {forged(here, ann, 'not')}"})

    assert response.status_code == 200


def forged(here: House, ann: Customer, how: str) -> str:
    """Return a session of Ann's that is wrong in one way."""
    key = JWT_KEY
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": str(ann.id), "iat": now, "exp": now + 600, "jti": "x", "pwn": 1,
    }  # fmt: skip
    headers: dict[str, Any] = {"kid": "1"}
    match how:
        case "none":
            return f"{_part({'alg': 'none', 'kid': '1'})}.{_part(claims)}."
        case "deep header":
            return base64.urlsafe_b64encode(b'{"alg":' + b"[" * 1000).decode().rstrip("=") + ".e30.e30"
        case "huge":
            return "a." * 500_000
        case "other algorithm":
            return jwt.encode(claims, key * 2, "HS512", headers=headers)
        case "key in header":
            headers |= {"jwk": {"kty": "oct", "k": "AAAA"}, "kid": "../../dev/null"}
        case "other key":
            key = b"x" * 32
        case "other kid":
            headers["kid"] = "2"
        case "no kid":
            headers = {}
    wrong: dict[str, dict[str, Any]] = {
        "other issuer": {"iss": "somebody"},
        "other audience": {"aud": "somebody"},
        "expired": {"exp": now - 1},
        "subject is no id": {"sub": "1 OR 1=1"},
        "nobody": {"sub": str(uuid4())},
        "later password": {"pwn": 2},
    }
    claims |= wrong.get(how, {})
    claims.pop({"no jti": "jti", "no subject": "sub"}.get(how, ""), None)
    return jwt.encode(claims, key, ALGORITHM, headers=headers)


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


async def test_a_signature_is_over_what_is_claimed(here: House, ann: Customer) -> None:
    header, claims, signature = ann.token.split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["sub"] = str(uuid4())
    response = await here.client.get(
        "/api/me", headers={"authorization": f"Bearer {header}.{_part(changed)}.{signature}"}
    )

    assert response.status_code == 401


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["name", "plan_id", "email", "password", "public_key", "command", "vcpu", "labels", "env", "ssh_key_ids",
     "timeout_seconds", "cf-turnstile-response", "new_password", "user_data", "stdin", "cwd", "user", "background",
     "spend_limit", "limit_window", "expires_at", "scopes"]
)  # fmt: skip
PATHS = st.sampled_from(
    ["/api/auth/register", "/api/auth/login", "/api/auth/logout", "/api/me", "/api/me/password", "/api/pricing",
     "/api/health", "/api/tokens", f"/api/tokens/{NOBODYS}", "/api/ssh-keys", f"/api/ssh-keys/{NOBODYS}", "/api/vps",
     f"/api/vps/{NOBODYS}",
     f"/api/vps/{NOBODYS}/exec", f"/api/vps/{NOBODYS}/start", f"/api/jobs/{NOBODYS}", "/", "/api"]
)  # fmt: skip


def test_no_answer_is_ever_a_500(databases: Databases) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
        path=PATHS | TEXT.map(lambda text: "/api/" + text),
        query=st.just(b"") | st.binary(max_size=40),
        body=st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda one: json.dumps(one).encode())
        | st.binary(max_size=200),
        header=st.tuples(
            st.sampled_from([b"idempotency-key", b"accept", b"x-request-id", b"host"]), st.binary(max_size=40)
        ),
    )
    def send(method: str, path: str, query: bytes, body: bytes, header: tuple[bytes, bytes]) -> None:
        sent = {"method": method, "path": path, "query_string": query, "headers": [JSON_HEADER, header]}
        response = portal.call(_send, sent, body)
        assert response.status_code < 500, response.text
        if response.status_code >= 400 and method != "HEAD":
            assert_refused(response)

    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(house(databases)) as here,
    ):
        app = create_app(here.runtime)
        ann = portal.call(here.register)

        async def _send(sent: dict[str, Any], body: bytes) -> httpx.Response:
            bearer = (b"authorization", f"Bearer {ann.token}".encode())
            response = await answered(app, {**sent, "headers": [*sent["headers"], bearer]}, body)
            if response.status_code == 204:
                login = await here.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
                ann.token = login.json()["token"]
            return response

        send()


async def answered(app: Edge, sent: dict[str, Any], body: bytes) -> httpx.Response:
    """Return what an application answers, asked without a client that would refuse to send such things."""
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": ""}
    path = {"raw_path": sent["path"].encode(), "client": ("127.0.0.1", 1), "server": ("litevps.test", 80)}
    await app({**scope, **path, **sent}, receive, send)
    start, *bodies = told
    return httpx.Response(start["status"], headers=start["headers"], content=b"".join(one["body"] for one in bodies))


def assert_refused(response: httpx.Response) -> None:
    """Check the shape that every refusal has."""
    body = response.json()
    assert 400 <= response.status_code < 500
    assert isinstance(body["error"], str)
    assert re.fullmatch(r"[a-z][a-z_]*", body["code"])
    assert "Traceback" not in response.text
    assert response.headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(response.headers["x-request-id"])
    if body["code"] == "invalid_request":
        assert body["fields"]
        assert all(isinstance(why, str) for why in body["fields"].values())
