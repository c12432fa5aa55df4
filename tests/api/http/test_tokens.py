"""Access tokens over HTTP: made, listed, revoked, and believed for no more than they were made for."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.simulated.clock import ManualClock
from api.http.catalogue import declared
from api.settings import Settings
from domain.codec import decode, decode_metadata
from domain.compute.events import VpsRequested
from domain.ids import VpsId, vps_stream
from domain.time import HOUR, MINUTE, Instant, to_rfc3339
from domain.tokens.token import SCOPES, TOKENS_MAX
from tests.api.houses import ROOMY, Customer, House, house

pytestmark = pytest.mark.anyio

NOTHING = "01937b1e-5c00-7000-8000-000000000001"
UNAUTHORIZED = {"error": "unauthorized", "code": "unauthorized"}


async def make(customer: Customer, **body: Any) -> Customer:
    """Make a token; return its account as somebody who asks with it."""
    response = await customer.ask("POST", "/api/tokens", json={"name": "ci", **body})
    assert response.status_code == 201, response.text
    return msgspec.structs.replace(customer, token=response.json()["token"])


async def listed(customer: Customer) -> list[dict[str, Any]]:
    """Return the tokens of an account, newest first."""
    response = await customer.ask("GET", "/api/tokens")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


async def test_a_token_is_told_once_and_listed_without_its_secret(ann: Customer) -> None:
    made = await ann.ask(
        "POST",
        "/api/tokens",
        json={
            "name": "ci-deploy",
            "spend_limit": 5.00,
            "limit_window": "month",
            "expires_at": "2099-11-23T18:00:00+01:00",
            "scopes": ["exec", "vps:read"],
        },
    )

    assert made.status_code == 201
    told = made.json()
    assert re.fullmatch(r"vtk_[A-Za-z0-9_-]{43}", told.pop("token"))
    assert await listed(ann) == [told]
    assert told == {
        "id": told["id"],
        "name": "ci-deploy",
        "scopes": ["vps:read", "exec"],
        "spend_limit": 5,
        "limit_window": "month",
        "spent": 0,
        "left": 5,
        "expires_at": "2099-11-23T17:00:00Z",
        "created_at": told["created_at"],
        "last_used_at": None,
    }


async def test_a_token_can_do_everything_that_tokens_can_unless_told(ann: Customer) -> None:
    await make(ann)

    (told,) = await listed(ann)

    assert (told["scopes"], told["spend_limit"], told["limit_window"]) == (list(SCOPES), None, None)
    assert (told["spent"], told["left"], told["expires_at"]) == (0, None, None)


async def test_tokens_come_in_pages_newest_first_and_one_account_at_a_time(ann: Customer, bob: Customer) -> None:
    for number in range(5):
        await make(ann, name=f"t{number}")

    page = await ann.ask("GET", "/api/tokens?limit=2&offset=1")

    assert [one["name"] for one in page.json()] == ["t3", "t2"]
    assert page.headers["x-total-count"] == "5"
    assert 'rel="next"' in page.headers["link"]
    assert await listed(bob) == []


async def test_under_a_key_the_same_secret_is_told_again(ann: Customer) -> None:
    key = {"idempotency-key": "first"}
    first = await ann.ask("POST", "/api/tokens", headers=key, json={"name": "ci"})
    again = await ann.ask("POST", "/api/tokens", headers=key, json={"name": "ci"})

    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert len(await listed(ann)) == 1


async def test_the_secret_is_kept_nowhere_in_the_open(here: House, ann: Customer) -> None:
    made = await ann.ask("POST", "/api/tokens", headers={"idempotency-key": "first"}, json={"name": "ci"})
    secret = made.json()["token"]

    recorded = await here.runtime.store.read_feed(0, 1_000)
    kept = here.runtime.store._claims  # type: ignore[attr-defined] # noqa: SLF001
    assert all(secret not in one.payload + one.metadata for one in recorded)
    assert secret.encode() not in repr(kept).encode()


@pytest.mark.parametrize("amount", ["0.000001", "5", "5.00", "0.123456", "1000000"])
async def test_a_limit_is_taken_to_the_last_decimal(ann: Customer, amount: str) -> None:
    body = f'{{"name":"ci","spend_limit":{amount}}}'
    made = await ann.ask("POST", "/api/tokens", content=body, headers={"content-type": "application/json"})

    assert made.status_code == 201
    assert f'"left":{amount.removesuffix(".00")},'.encode() in made.content


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"name":"ci","spend_limit":0.0000001}', "spend_limit"),
        ('{"name":"ci","spend_limit":0}', "spend_limit"),
        ('{"name":"ci","spend_limit":-1}', "spend_limit"),
        ('{"name":"ci","spend_limit":1e3}', "spend_limit"),
        ('{"name":"ci","spend_limit":"5"}', "spend_limit"),
        ('{"name":"ci","spend_limit":[5]}', "spend_limit"),
        ('{"name":"ci","spend_limit":1000000.000001}', "spend_limit"),
        ('{"name":"ci","spend_limit":99999999999999999999}', "spend_limit"),
        ('{"name":"ci","limit_window":"month"}', "limit_window"),
        ('{"name":"ci","spend_limit":1,"limit_window":"week"}', "limit_window"),
        ('{"name":"ci","expires_at":"2020-01-01T00:00:00Z"}', "expires_at"),
        ('{"name":"ci","expires_at":"2099-01-01T00:00:00"}', "expires_at"),
        ('{"name":"ci","expires_at":"9999-12-31T23:59:59-23:59"}', "expires_at"),
        ('{"name":"ci","expires_at":4102444800}', "expires_at"),
        ('{"name":"ci","scopes":[]}', "scopes"),
        ('{"name":"ci","scopes":["root"]}', "scopes[0]"),
        ('{"name":""}', "name"),
        ('{"name":"a\\u0000b","spend_limit":1.5}', "name"),
        ('{"name":"ci","secret":"vtk_mine"}', "secret"),
        ("{}", "name"),
    ],
)
async def test_what_cannot_be_meant_is_400(ann: Customer, body: str, field: str) -> None:
    response = await ann.ask("POST", "/api/tokens", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, set(response.json()["fields"])) == (400, {field})


async def test_an_account_has_so_many_tokens_at_most(ann: Customer) -> None:
    for _ in range(TOKENS_MAX):
        await make(ann)
    one_more = await ann.ask("POST", "/api/tokens", json={"name": "ci"})

    assert (one_more.status_code, one_more.json()["code"]) == (409, "too_many_tokens")


async def test_a_token_says_who_it_is(ann: Customer) -> None:
    ci = await make(ann, scopes=["keys"])

    told = await ci.ask("GET", "/api/me")

    assert (told.status_code, told.json()["id"]) == (200, str(ann.id))
    assert told.headers["x-balance-remaining"] == "10.0000"


async def test_what_a_token_does_is_recorded_as_its_own_doing(here: House, ann: Customer) -> None:
    ci = await make(ann)
    made = await ci.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})

    (recorded,) = await here.runtime.store.read_streams([(vps_stream(VpsId(UUID(made.json()["id"]))), 0)])

    token_id = (await listed(ann))[0]["id"]
    actor = decode_metadata(recorded).actor
    assert (actor.kind, str(actor.id)) == ("token", token_id)
    assert decode_metadata(recorded).account_id == ann.id
    requested = decode(recorded)
    assert isinstance(requested, VpsRequested)
    assert str(requested.token_id) == token_id


@pytest.mark.parametrize(
    "endpoint", [one for one in declared(Settings()) if one.who == "account"], ids=lambda e: e.name
)
async def test_a_token_is_held_to_its_scopes(ann: Customer, endpoint: Any) -> None:
    path = re.sub(r"{\w+}", NOTHING, endpoint.path)
    ask = {"json": endpoint.body_example} if endpoint.body is not None else {}
    scope = None if endpoint.scope in (None, "any") else endpoint.scope
    lacking = await make(ann, scopes=[one for one in SCOPES if one != scope])
    with_all = await make(ann)

    refused = await lacking.ask(endpoint.method, path, **ask)
    taken = await with_all.ask(endpoint.method, path, **ask)

    if endpoint.scope is None:
        expected = {"error": "forbidden for tokens", "code": "forbidden_for_tokens"}
        assert (refused.status_code, refused.json()) == (taken.status_code, taken.json()) == (403, expected)
        assert refused.headers["x-balance-remaining"] == "10.0000"
    elif scope is None:
        assert refused.status_code == taken.status_code == 200
    else:
        assert refused.status_code == 403
        assert refused.json() == {"error": "the token lacks a scope", "code": "insufficient_scope", "scope": scope}
        assert taken.status_code not in (401, 403), taken.text


def test_each_scope_is_asked_by_what_the_contract_says() -> None:
    scopes = {one.name: one.scope for one in declared(Settings()) if one.who == "account"}

    expected = {
        "me": "any", "create_vps": "vps:write", "list_vps": "vps:read", "get_vps": "vps:read", "start_vps": "vps:write",
        "stop_vps": "vps:write", "restart_vps": "vps:write", "delete_vps": "vps:write", "list_vps_events": "vps:read",
        "exec_command": "exec", "get_job": "exec", "add_ssh_key": "keys", "list_ssh_keys": "keys",
        "remove_ssh_key": "keys", "create_token": None, "list_tokens": None, "revoke_token": None, "logout": None,
        "change_password": None,
    }  # fmt: skip
    assert {name: scopes[name] for name in expected} == expected


@pytest.mark.parametrize(
    "secret", ["vtk_", "vtk_" + "A" * 43, "vtk_" + "A" * 42, "vtk_" + "\xe9" * 43, "vtk_" + "A" * 4_000, "VTK_x"]
)
async def test_what_is_no_token_is_unauthorized(here: House, secret: str) -> None:
    header = b"Bearer " + secret.encode("latin-1")
    response = await here.client.get("/api/me", headers={b"authorization": header})

    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)
    assert response.headers["www-authenticate"] == "Bearer"
    assert "x-balance-remaining" not in response.headers


async def test_a_revoked_token_is_unauthorized_at_once_and_gone(ann: Customer) -> None:
    ci = await make(ann)
    assert (await ci.ask("GET", "/api/me")).status_code == 200
    path = f"/api/tokens/{(await listed(ann))[0]['id']}"

    assert (await ann.ask("DELETE", path)).status_code == 204
    refused = await ci.ask("GET", "/api/me")
    assert (refused.status_code, refused.json()) == (401, UNAUTHORIZED)
    assert (await ann.ask("DELETE", path)).status_code == 404
    assert await listed(ann) == []


async def test_anothers_token_cannot_be_revoked(ann: Customer, bob: Customer) -> None:
    ci = await make(ann)
    path = f"/api/tokens/{(await listed(ann))[0]['id']}"

    assert (await bob.ask("DELETE", path)).status_code == 404
    assert (await ci.ask("GET", "/api/me")).status_code == 200


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def steered(clock: ManualClock) -> AsyncIterator[Customer]:
    """A customer with 10 USD, whose time goes as the test says."""
    async with house(ROOMY, clock) as made:
        customer = await made.register()
        await customer.credit(10_000_000)
        yield customer


async def test_a_token_expires_to_the_microsecond(steered: Customer, clock: ManualClock) -> None:
    ci = await make(steered, expires_at=to_rfc3339(Instant(clock.now() + HOUR)))

    clock.advance(3_600 - 0.000_001)
    assert (await ci.ask("GET", "/api/me")).status_code == 200
    clock.advance(0.000_001)
    refused = await ci.ask("GET", "/api/me")
    assert (refused.status_code, refused.json()) == (401, UNAUTHORIZED)


async def test_it_is_told_to_the_minute_when_a_token_was_last_used(steered: Customer, clock: ManualClock) -> None:
    ci = await make(steered)
    first = clock.now()
    for _ in range(3):
        await ci.ask("GET", "/api/me")
        clock.advance(25)
    assert [one["last_used_at"] for one in await listed(steered)] == [to_rfc3339(first)]

    await ci.ask("GET", "/api/me")
    assert [one["last_used_at"] for one in await listed(steered)] == [to_rfc3339(Instant(first + MINUTE * 5 // 4))]


async def test_each_token_has_a_quota_of_its_own() -> None:
    tight = msgspec.structs.replace(ROOMY, requests_per_minute=5)
    async with house(tight) as here:
        ann = await here.register()
        one, other = await make(ann), await make(ann)

        answers = [(await one.ask("GET", "/api/me")) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[0].headers["ratelimit-policy"] == '"token";q=5;w=60'
        assert (await other.ask("GET", "/api/me")).status_code == 200
        assert (await ann.ask("GET", "/api/me")).status_code == 200
