"""What two processes on one PostgreSQL agree about: sessions, idempotency keys, quotas, lists."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import psycopg
import pytest
from httpx import ASGITransport, AsyncClient

from adapters.turnstile import TEST_TOKEN
from api.application.runtime import Runtime
from api.application.seed_data import ensure_plans
from api.bootstrap import runtime as bootstrap
from api.bootstrap.runtime import Database
from api.http.app import create_app
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA, install
from projections.runner import Runner
from tests.api.houses import ROOMY, Customer, House, offer_host
from tests.api.http.holders import listed, make
from tests.api.http.test_ssh_keys import KEY
from tests.guests import new_key_pair

pytestmark = pytest.mark.anyio

FIRST = {"idempotency-key": "first"}
AT_ONCE = 100


@pytest.fixture
async def houses(database_url: str, owner_url: str, tmp_path: Path) -> AsyncIterator[tuple[House, House]]:
    """Two services with nothing in common but the database and the master key; the first keeps read models."""
    await asyncio.to_thread(install, owner_url, READ_MODELS)
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(_house(database_url, tmp_path)) for _ in range(2)]
        await ensure_plans(one.runtime)
        await offer_host(one.runtime)
        await stack.enter_async_context(_following(one.runtime, database_url))
        yield one, other


@asynccontextmanager
async def _house(database_url: str, home: Path) -> AsyncIterator[House]:
    settings = msgspec.structs.replace(ROOMY, home=str(home), compute="simulated", logins_per_minute=5)
    database = Database(database_url, None)
    async with bootstrap.opened_runtime(settings, database, with_hosts=False, on_progress=lambda _: None) as runtime:
        transport = ASGITransport(app=create_app(runtime))
        async with AsyncClient(transport=transport, base_url="http://litevps.test") as client:
            yield House(runtime, client, None)  # type: ignore[arg-type]


@asynccontextmanager
async def _following(runtime: Runtime, database_url: str) -> AsyncIterator[None]:
    runner = Runner(runtime.store, database_url, READ_MODELS, schema=SCHEMA, moved=runtime.read_models.moved)
    task = asyncio.create_task(runner.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def at(house: House, customer: Customer) -> Customer:
    """Return the same customer as a client of another process."""
    return Customer(house, customer.id, customer.email, customer.token)


async def test_a_session_that_ends_at_one_has_ended_at_the_other(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    ann_there = at(houses[1], ann)
    assert (await ann_there.ask("GET", "/api/me")).status_code == 200

    await ann.ask("POST", "/api/auth/logout")

    assert (await ann_there.ask("GET", "/api/me")).status_code == 401


async def test_a_token_that_is_revoked_at_one_has_ended_at_the_other(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    ci = await make(ann, name="ci")
    ci_there = at(houses[1], ci)
    assert (await ci_there.ask("GET", "/api/me")).status_code == 200
    (told,) = await listed(at(houses[1], ann))
    assert told["last_used_at"] is not None

    await ann.ask("DELETE", f"/api/tokens/{told['id']}")

    assert (await ci_there.ask("GET", "/api/me")).status_code == 401
    assert await listed(at(houses[1], ann)) == []


async def test_a_balance_is_the_same_at_both(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    ann_there = at(houses[1], ann)
    await ann_there.ask("GET", "/api/me")

    await ann.credit(2_500_000)

    assert (await ann_there.ask("GET", "/api/me")).headers["x-balance-remaining"] == "2.5000"


async def test_what_moved_a_balance_at_one_is_told_at_once_by_the_other(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    for count in range(1, 9):
        await (ann if count % 2 else at(houses[1], ann)).credit(1_000_000)
        reader = at(houses[count % 2], ann)
        listed_there = (await reader.ask("GET", "/api/billing/transactions")).json()
        month = listed_there[0]["at"][:7]
        statement = (await reader.ask("GET", f"/api/billing/statements/{month}")).json()
        then = (await reader.ask("GET", "/api/billing/balance", params={"at": listed_there[0]["at"]})).json()

        assert [one["balance_after_micros"] for one in listed_there[:1]] == [count * 1_000_000]
        assert (len(listed_there), statement["closing_micros"], then["balance_micros"]) == (
            count,
            count * 1_000_000,
            count * 1_000_000,
        )


async def test_the_same_key_at_both_at_once_does_it_once(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    await ann.credit(10_000_000)
    body = {"name": "a", "plan_id": await houses[0].nano()}
    answers = await asyncio.gather(
        *(at(house, ann).ask("POST", "/api/vps", headers=FIRST, json=body) for house in houses * 5)
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 9
    for house in houses:
        assert [vps["name"] for vps in (await at(house, ann).ask("GET", "/api/vps")).json()] == ["a"]


async def test_each_of_a_hundred_tokens_made_at_once_at_both_is_made(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    bodies = [{"name": f"ci-{number}"} for number in range(AT_ONCE)]

    assert await posted_at_once(houses, ann, "/api/tokens", bodies) == {201: AT_ONCE}


async def test_each_of_a_hundred_ssh_keys_added_at_once_at_both_is_added(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    bodies = [{"name": f"k-{number}", "public_key": new_key_pair().public} for number in range(AT_ONCE)]

    assert await posted_at_once(houses, ann, "/api/ssh-keys", bodies) == {201: AT_ONCE}


async def test_of_a_hundred_vpss_asked_for_at_once_at_both_just_those_that_fit_are_made(
    houses: tuple[House, House],
) -> None:
    ann = await houses[0].register()
    await ann.credit(42_000)
    nano = await houses[0].nano()
    bodies = [{"name": f"vm-{number}", "plan_id": nano} for number in range(AT_ONCE)]

    assert await posted_at_once(houses, ann, "/api/vps", bodies) == {201: 10, 402: AT_ONCE - 10}


async def posted_at_once(
    houses: tuple[House, House], ann: Customer, path: str, bodies: Sequence[Mapping[str, object]]
) -> Counter[int]:
    """Post all bodies at once, every other one to the other process; return how often each status was answered."""
    there = [at(house, ann) for house in houses]
    answers = await asyncio.gather(
        *(there[number % 2].ask("POST", path, json=body) for number, body in enumerate(bodies))
    )
    return Counter(answer.status_code for answer in answers)


async def test_a_quota_is_shared(houses: tuple[House, House]) -> None:
    body = {"email": "no@example.com", "password": "not this one"}
    statuses = [(await house.client.post("/api/auth/login", json=body)).status_code for house in (*houses, *houses) * 2]

    assert statuses == [401] * 5 + [429] * 3


async def test_an_address_is_registered_once(houses: tuple[House, House]) -> None:
    async def register(house: House) -> int:
        body = {"email": "ann@example.com", "password": "correct horse", "cf-turnstile-response": TEST_TOKEN}
        return (await house.client.post("/api/auth/register", json=body)).status_code

    assert sorted(await asyncio.gather(*(register(house) for house in houses))) == [201, 409]


async def test_what_one_writes_the_other_lists_at_once(houses: tuple[House, House]) -> None:
    ann = await houses[0].register()
    await ann.credit(10_000_000)
    nano = await houses[0].nano()
    for number in range(5):
        here, there = houses[number % 2], houses[1 - number % 2]
        made = await at(here, ann).ask("POST", "/api/vps", json={"name": f"vm-{number}", "plan_id": nano})
        listed = await at(there, ann).ask("GET", "/api/vps")
        assert listed.json()[0] == made.json()
        assert len(listed.json()) == number + 1


async def test_nothing_personal_is_in_the_clear(houses: tuple[House, House], superuser_url: str) -> None:
    ann = await houses[0].register("ann-in-person@example.com")
    await ann.credit(10_000_000)
    await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json={"name": "secret-name", "public_key": f"{KEY} secret"})
    body = {"name": "secret-vm", "plan_id": await houses[0].nano(), "labels": {"secret": "label"}}
    await ann.ask("POST", "/api/vps", headers={"user-agent": "secret-agent"}, json=body)
    await ann.ask("PUT", "/api/billing/alerts", json={"email": "alerts-in-person@example.com"})
    assert len((await ann.ask("GET", "/api/vps")).json()) == 1

    async with await psycopg.AsyncConnection.connect(superuser_url) as connection:
        cursor = await connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for (table,) in await cursor.fetchall():
            rows = await connection.execute(f"SELECT t::text FROM {table} AS t".encode())
            content = "\n".join(row for (row,) in await rows.fetchall())
            for word in ("in-person", "secret", KEY.split()[1][:40], b"secret".hex()):
                assert word not in content, f"{word} is in {table}"
