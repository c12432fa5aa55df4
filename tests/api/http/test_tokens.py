"""Access tokens over HTTP: made, listed, revoked."""

import re

import pytest

from domain.tokens.token import SCOPES, TOKENS_MAX
from tests.api.houses import Customer, House
from tests.api.http.holders import UNAUTHORIZED, listed, make

pytestmark = pytest.mark.anyio


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
    assert re.fullmatch(r"vtk_[A-Za-z0-9_-]{54}", told.pop("token"))
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
    kept = await here.sql("SELECT kept FROM ledger.claim WHERE kept IS NOT NULL")
    assert all(secret not in one.payload + one.metadata for one in recorded)
    assert kept != []
    assert secret.encode() not in repr(kept).encode()


@pytest.mark.parametrize("amount", ["0.000001", "5", "5.00", "0.123456", "1000000"])
async def test_a_limit_is_taken_to_the_last_decimal(anybody: Customer, amount: str) -> None:
    body = f'{{"name":"ci","spend_limit":{amount}}}'
    made = await anybody.ask("POST", "/api/tokens", content=body, headers={"content-type": "application/json"})

    assert made.status_code == 201
    assert f'"left":{amount.removesuffix(".00")},'.encode() in made.content


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"name":"ci","spend_limit":0.0000001}', "spend_limit"),
        ('{"name":"ci","spend_limit":0}', "spend_limit"),
        ('{"name":"ci","spend_limit":-1}', "spend_limit"),
        ('{"name":"ci","spend_limit":1e7}', "spend_limit"),
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
async def test_what_cannot_be_meant_is_400(anybody: Customer, body: str, field: str) -> None:
    response = await anybody.ask("POST", "/api/tokens", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, set(response.json()["fields"])) == (400, {field})


async def test_an_account_has_so_many_tokens_at_most(ann: Customer) -> None:
    for _ in range(TOKENS_MAX):
        await make(ann)
    one_more = await ann.ask("POST", "/api/tokens", json={"name": "ci"})

    assert (one_more.status_code, one_more.json()["code"]) == (409, "too_many_tokens")


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
