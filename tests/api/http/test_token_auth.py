"""Access tokens are believed as long as they are good, for no more than they were made for."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from adapters.simulated.clock import ManualClock
from api.application.repository import CommandContext
from api.http.app import create_app
from api.http.routes import operations
from domain.accounts.account import account_ref
from domain.accounts.events import AccountClosed
from domain.codec import decode, decode_metadata
from domain.compute.events import VpsRequested
from domain.deciding import recorded_in
from domain.events import Actor
from domain.ids import VpsId, account_stream, vps_stream
from domain.ports import StoreUnavailable
from domain.time import HOUR, MINUTE, Instant, to_rfc3339
from domain.tokens.token import SCOPES
from tests.api.houses import ROOMY, Customer, House, house
from tests.api.http.holders import UNAUTHORIZED, listed, make
from tests.databases import Databases

pytestmark = pytest.mark.anyio

NOTHING = "01937b1e-5c00-7000-8000-000000000001"


async def test_a_token_says_who_it_is(ann: Customer) -> None:
    ci = await make(ann, scopes=["keys"])

    told = await ci.ask("GET", "/api/me")

    assert (told.status_code, told.json()["id"]) == (200, str(ann.id))
    assert told.headers["x-balance-remaining"] == "10.0000"


async def test_what_a_token_does_is_recorded_as_its_own_doing(here: House, ann: Customer) -> None:
    ci = await make(ann)
    made = await ci.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})

    recorded, _placed = await here.runtime.store.read_streams([(vps_stream(VpsId(UUID(made.json()["id"]))), 0)])

    token_id = (await listed(ann))[0]["id"]
    actor = decode_metadata(recorded).actor
    assert (actor.kind, str(actor.id)) == ("token", token_id)
    assert decode_metadata(recorded).account_id == ann.id
    requested = decode(recorded)
    assert isinstance(requested, VpsRequested)
    assert str(requested.token_id) == token_id


@pytest.mark.parametrize("endpoint", [one for one in operations() if not one.public], ids=lambda e: e.name)
async def test_a_token_is_held_to_its_scopes(anybody: Customer, endpoint: Any) -> None:
    path = re.sub(r"{\w+}", NOTHING, endpoint.path)
    ask = {"json": endpoint.docs.body_example} if endpoint.body is not None else {}
    scope = None if endpoint.scope in (None, "any") else endpoint.scope
    lacking = await make(anybody, scopes=[one for one in SCOPES if one != scope])
    with_all = await make(anybody)

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
    scopes = {one.name: one.scope for one in operations() if not one.public}

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


async def test_a_token_of_a_closed_account_is_unauthorized(bob: Customer) -> None:
    ci = await make(bob)
    closed = recorded_in(account_stream(bob.id), AccountClosed(bob.id, at=Instant(1)))
    context = CommandContext(actor=Actor("account", bob.id), account_id=bob.id)
    await bob.house.runtime.aggregates.execute([account_ref(bob.id)], lambda _loaded, _now: closed, context)

    assert (await ci.ask("GET", "/api/me")).json() == UNAUTHORIZED, "before its tokens are revoked one by one"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def steered(databases: Databases, clock: ManualClock) -> AsyncIterator[Customer]:
    """A customer with 10 USD, whose time goes as the test says."""
    async with house(databases, ROOMY, clock) as made:
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


async def test_nobody_is_refused_because_it_cannot_be_kept_when_they_came(here: House, ann: Customer) -> None:
    class Away:
        async def note(self, *_: object) -> None:
            raise StoreUnavailable("away")

    ci = await make(ann)
    away = msgspec.structs.replace(here.runtime, last_uses=Away())
    async with AsyncClient(transport=ASGITransport(app=create_app(away)), base_url="http://x") as client:
        response = await client.get("/api/me", headers={"authorization": f"Bearer {ci.token}"})

    assert response.status_code == 200


async def test_each_token_has_a_quota_of_its_own(databases: Databases) -> None:
    tight = msgspec.structs.replace(ROOMY, requests_per_minute=5)
    async with house(databases, tight) as here:
        ann = await here.register()
        one, other = await make(ann), await make(ann)

        answers = [(await one.ask("GET", "/api/me")) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[0].headers["ratelimit-policy"] == '"token";q=5;w=60'
        assert (await other.ask("GET", "/api/me")).status_code == 200
        assert (await ann.ask("GET", "/api/me")).status_code == 200
