"""Wrong credentials: sixty a minute of a client, then no more are looked at; right ones always pass."""

import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from api.http.pipeline import authenticator as auth
from domain.ports import StoreUnavailable
from domain.tokens.token import digest_of
from tests.api.houses import PASSWORD, ROOMY, Customer, House, house
from tests.api.http.holders import make
from tests.databases import Databases

pytestmark = pytest.mark.anyio

COUNTED = msgspec.structs.replace(ROOMY, wrong_credentials_per_minute=5)


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[House]:
    """A house where a client may show five wrong credentials a minute."""
    async with house(databases, COUNTED) as made:
        yield made


def made_up() -> str:
    """Return what looks like a token of the older form."""
    return f"vtk_{secrets.token_urlsafe(32)}"


async def shown(here: House, credential: str, path: str = "/api/me") -> int:
    """Return the status that a credential is answered."""
    return (await here.client.get(path, headers={"authorization": f"Bearer {credential}"})).status_code


@pytest.mark.parametrize("kind", ["token", "marked", "short", "session", "forged"])
async def test_after_so_many_a_minute_wrong_ones_are_429(here: House, ann: Customer, kind: str) -> None:
    kinds: dict[str, Callable[[], str]] = {
        "token": made_up,
        "marked": lambda: made_up() + secrets.token_urlsafe(8),
        "short": lambda: "vtk_" + secrets.token_hex(4),
        "session": lambda: f"a.{secrets.token_hex(8)}.c",
        "forged": lambda: f"{ann.token[:-8]}{secrets.token_hex(4)}",
    }
    assert [await shown(here, kinds[kind]()) for _ in range(5)] == [401] * 5

    told = await here.client.get("/api/me", headers={"authorization": f"Bearer {kinds[kind]()}"})

    assert (told.status_code, told.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(told.headers["retry-after"]) <= 60
    assert told.headers["ratelimit-policy"] == '"wrong-credentials";q=5;w=60'
    assert await shown(here, kinds[kind](), "/api/nowhere") == 429


async def test_right_ones_of_the_same_client_pass(here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    marked, older = await make(ann), made_up()
    monkeypatch.setattr(here.runtime.token_secrets, "new", lambda: older)
    await make(ann, name="older")
    monkeypatch.setattr(auth, "LOOK_UP_EVERY_S", 0.0)

    assert [await shown(here, made_up()) for _ in range(8)] == [401] * 5 + [429] * 3
    assert [await shown(here, right) for right in (ann.token, marked.token, older)] == [200, 200, 200]
    assert await shown(here, made_up()) == 429
    assert (await here.client.get("/api/me")).status_code == 401  # Nothing shown is nothing wrong.


async def test_made_up_ones_beyond_cost_next_to_nothing(
    here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[Any] = []
    find, count = here.runtime.store.find_claim, here.runtime.rate_counters.count

    async def finding(scope: str, key: bytes) -> Any:
        looked_up.append(scope)
        return await find(scope, key)

    async def counting(tries: Any) -> Any:
        looked_up.append(tries)
        return await count(tries)

    assert [await shown(here, made_up()) for _ in range(6)] == [401] * 5 + [429]
    monkeypatch.setattr(here.runtime.store, "find_claim", finding)
    monkeypatch.setattr(here.runtime.rate_counters, "count", counting)
    # Longer than any machine has been up: the first one is looked up all the same.
    monkeypatch.setattr(auth, "LOOK_UP_EVERY_S", 1e9)

    assert [await shown(here, made_up()) for _ in range(50)] == [429] * 50
    assert looked_up == ["token"]


async def test_what_has_ended_is_not_looked_up_again(
    here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ci = await make(ann)
    (kept,) = (await ann.ask("GET", "/api/tokens")).json()
    await ann.ask("DELETE", f"/api/tokens/{kept['id']}")
    await ann.ask("POST", "/api/auth/logout")
    looked_up: list[Any] = []
    read, find = here.runtime.aggregates.load, here.runtime.store.find_claim

    async def finding(scope: str, key: bytes) -> Any:
        looked_up.append(scope)
        return await find(scope, key)

    async def reading(*refs: Any) -> Any:
        looked_up.append(refs)
        return await read(*refs)

    monkeypatch.setattr(here.runtime.aggregates, "load", reading)
    monkeypatch.setattr(here.runtime.store, "find_claim", finding)
    tried = [await shown(here, credential) for credential in (ci.token, ann.token) * 10]

    assert tried == [401] * 5 + [429] * 15
    assert len(looked_up) == 2


async def test_counters_that_are_away_let_nobody_in(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(here.runtime.rate_counters, "count", away)

    assert [await shown(here, made_up()) for _ in range(8)] == [401] * 8


async def test_a_token_that_is_made_now_bears_a_mark(here: House) -> None:
    secret = here.runtime.token_secrets.new()

    assert here.runtime.token_secrets.is_marked(secret)
    assert len({digest_of(here.runtime.token_secrets.new()) for _ in range(10)}) == 10
    for other in (made_up(), secret[:-1] + "_", secret[:-1], secret + "A", "vtk_", "vtk_é"):
        assert not here.runtime.token_secrets.is_marked(other) or other == secret


@pytest.mark.parametrize("end", ["logout", "password"])
async def test_a_session_that_has_ended_uses_up_nothing_of_its_account(
    here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    counted: list[Any] = []
    count = here.runtime.rate_counters.count

    async def counting(tries: Any) -> Any:
        counted.extend(quota.name for quota, _ in tries)
        return await count(tries)

    ended = ann.token
    if end == "logout":
        assert (await ann.ask("POST", "/api/auth/logout")).status_code == 204
    else:
        body = {"password": PASSWORD, "new_password": "battery staple"}
        assert (await ann.ask("PUT", "/api/me/password", json=body)).status_code == 204
    assert await shown(here, ended) == 401
    monkeypatch.setattr(here.runtime.rate_counters, "count", counting)

    assert [await shown(here, ended) for _ in range(20)] == [401] * 4 + [429] * 16
    assert "session" not in counted
