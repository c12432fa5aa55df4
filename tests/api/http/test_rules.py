"""What holds for every request: errors, headers, ids, methods, content types, sizes."""

import asyncio
import gc
import re
from collections.abc import AsyncIterator

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from api.application.settings import Settings
from api.http.app import create_app
from domain.ports import StoreFailed, StoreUnable, StoreUnavailable, TooLargeToStore
from domain.time import Instant
from tests.api.houses import PASSWORD, ROOMY, Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_every_answer_has_a_request_id(here: House) -> None:
    response = await here.client.get("/api/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert UUID7.fullmatch(response.headers["x-request-id"])
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("own", "kept"), [("a-1._B", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)])
async def test_a_clients_own_request_id_is_kept_if_it_is_plain(here: House, own: str, kept: bool) -> None:
    response = await here.client.get("/api/nowhere", headers={"x-request-id": own})

    assert (response.headers["x-request-id"] == own) is kept


async def test_a_path_that_is_not_there_is_404(here: House, ann: Customer) -> None:
    for path in ("/", "/api", "/api/", "/api/nowhere", "/api/vps/x/y/z", "/favicon.ico"):
        response = await here.client.get(path)
        assert (response.status_code, response.json()) == (404, {"error": "not found", "code": "not_found"})
        assert "x-balance-remaining" not in response.headers
    known = await ann.ask("GET", "/api/nowhere")
    assert (known.status_code, known.headers["x-balance-remaining"]) == (404, "10.0000")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "POST"])
async def test_another_method_is_405(here: House, ann: Customer, method: str) -> None:
    response = await ann.ask(method, "/api/pricing")

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD"
    assert response.headers["x-balance-remaining"] == "10.0000"


async def test_head_is_get_without_the_body(here: House) -> None:
    response = await here.client.head("/api/health")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "15"


async def test_a_client_may_have_problems_as_rfc_9457_has_them(here: House, ann: Customer) -> None:
    response = await ann.ask("GET", "/api/vps/nothing", headers={"accept": "application/problem+json"})

    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "urn:litevps:error:not_found",
        "title": "not found",
        "status": 404,
        "detail": "not found",
        "error": "not found",
        "code": "not_found",
    }


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer abc",
        "Bearer a.b.c",
        "Bearer vtk_abc",
        "Bearer \xff",
        "Token x",
    ],
)
async def test_who_shows_no_session_is_unauthorized(here: House, authorization: str | None) -> None:
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    response = await here.client.get("/api/me", headers=headers)

    assert (response.status_code, response.json()) == (401, {"error": "unauthorized", "code": "unauthorized"})
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_content_type_is_415(here: House) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        response = await here.client.post("/api/auth/login", content=b"{}", headers={"content-type": content_type})
        assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


async def test_a_body_over_its_limit_is_413(here: House) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    headers = {"content-type": "application/json"}
    told = await here.client.post("/api/auth/login", content=b"x" * 65_537, headers=headers)
    untold = await here.client.post("/api/auth/login", content=endless(), headers=headers)

    assert told.status_code == untold.status_code == 413
    assert told.json() == {"error": "body too large", "code": "payload_too_large", "bytes_max": 65_536}


async def test_a_mistake_of_ours_tells_nothing_of_itself(here: House, ann: Customer) -> None:
    class Broken:
        async def of_account(self, *_: object) -> list[object]:
            raise RuntimeError("a secret")

    broken = msgspec.structs.replace(here.runtime, vps_list=Broken())
    async with AsyncClient(transport=ASGITransport(app=create_app(broken)), base_url="http://x") as client:
        response = await client.get("/api/vps", headers={"authorization": f"Bearer {ann.token}"})

    assert (response.status_code, response.json()) == (500, {"error": "internal error", "code": "internal_error"})
    assert "secret" not in response.text


async def test_a_store_that_is_away_is_503_and_leaves_no_failure_behind(here: House, ann: Customer) -> None:
    class Away:
        async def load(self, *_: object) -> None:
            raise StoreUnavailable("away")

        async def count(self, *_: object) -> None:
            await asyncio.sleep(0)
            raise StoreUnavailable("away")

    left_behind: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left_behind.append(context))
    away = msgspec.structs.replace(here.runtime, aggregates=Away(), rate_counters=Away())
    async with AsyncClient(transport=ASGITransport(app=create_app(away)), base_url="http://x") as client:
        response = await client.get("/api/me", headers={"authorization": f"Bearer {ann.token}"})
    await asyncio.sleep(0.01)
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)

    assert (response.status_code, left_behind) == (503, [])


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (StoreUnavailable("no connection"), 503, "store_unavailable"),
        (StoreUnable("no space left on device"), 503, "store_busy"),
        (TooLargeToStore("index row size exceeds maximum"), 413, "payload_too_large"),
    ],
)
async def test_what_the_store_cannot_do_is_told_as_what_it_is(
    here: House, ann: Customer, failure: StoreFailed, status: int, code: str
) -> None:
    class Failing:
        async def of_account(self, *_: object) -> list[object]:
            raise failure

    failing = msgspec.structs.replace(here.runtime, vps_list=Failing())
    async with AsyncClient(transport=ASGITransport(app=create_app(failing)), base_url="http://x") as client:
        response = await client.get("/api/vps", headers={"authorization": f"Bearer {ann.token}"})

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert str(failure) not in response.text


async def test_quotas_are_told_and_held(databases: Databases) -> None:
    tight = Settings(development=True, requests_per_minute=3, logins_per_minute=2, registrations_per_minute=2)
    async with house(databases, tight) as here:
        ann = await here.register()
        answers = [await ann.ask("GET", "/api/me") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"session";q=3;w=60'
        assert answers[0].headers["ratelimit"].startswith('"session";r=2;t=')
        assert answers[3].json()["code"] == "rate_limited"
        assert 1 <= int(answers[3].headers["retry-after"]) <= 60
        assert answers[3].headers["x-balance-remaining"] == "0.0000"

        body = {"email": "no@example.com", "password": PASSWORD}
        logins = [(await here.client.post("/api/auth/login", json=body)).status_code for _ in range(3)]
        assert logins == [401, 401, 429]


async def test_forwarded_addresses_count_only_from_trusted_proxies(databases: Databases) -> None:
    body = {"email": "no@example.com", "password": PASSWORD}

    async def tries(settings: Settings) -> list[int]:
        async with house(databases, settings) as here:
            headers = [{"x-forwarded-for": f"198.51.100.7, 203.0.113.{n}"} for n in range(3)]
            return [(await here.client.post("/api/auth/login", json=body, headers=one)).status_code for one in headers]

    tight = msgspec.structs.replace(ROOMY, logins_per_minute=1)
    assert await tries(tight) == [401, 429, 429]
    assert await tries(msgspec.structs.replace(tight, trusted_proxies="127.0.0.0/8")) == [401, 401, 401]
    # What a client writes before the address that the proxy has seen is believed by nobody.
    assert await tries(msgspec.structs.replace(tight, trusted_proxies="127.0.0.0/8,203.0.113.0/24")) == [401, 429, 429]


async def test_a_session_ends_after_twelve_hours(here: House, ann: Customer) -> None:
    class Later:
        def now(self) -> Instant:
            return Instant(here.runtime.clock.now() + 12 * 3600 * 1_000_000)

    later = msgspec.structs.replace(here.runtime, clock=Later())
    async with AsyncClient(transport=ASGITransport(app=create_app(later)), base_url="http://x") as client:
        response = await client.get("/api/me", headers={"authorization": f"Bearer {ann.token}"})

    assert response.status_code == 401
