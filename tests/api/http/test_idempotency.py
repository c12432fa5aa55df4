"""Idempotency keys: the first outcome again, and nothing done twice."""

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from adapters.simulated.clock import ManualClock
from api.http.pipeline.idempotency import SCOPE
from domain.ids import EventId
from tests.api.houses import PASSWORD, Customer, House, house
from tests.api.http.test_ssh_keys import KEY
from tests.databases import Databases
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio

FIRST = {"idempotency-key": "first"}


async def test_a_repeated_create_makes_one_vps(here: House, ann: Customer) -> None:
    body = {"name": "a", "plan_id": await here.nano()}
    first = await ann.ask("POST", "/api/vps", headers=FIRST, json=body)
    await ann.credit(1_000_000)
    again = await ann.ask("POST", "/api/vps", headers=FIRST, json=body)

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-balance-remaining"] == "11.0000"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len((await ann.ask("GET", "/api/vps")).json()) == 1


async def test_both_at_once_make_one_vps(here: House, ann: Customer) -> None:
    body = {"name": "a", "plan_id": await here.nano()}
    answers = await asyncio.gather(*(ann.ask("POST", "/api/vps", headers=FIRST, json=body) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 9
    assert len((await ann.ask("GET", "/api/vps")).json()) == 1


@pytest.mark.parametrize(("path", "refusal"), [("/api/ssh-keys", 409), ("/api/templates", 409), ("/api/vps", 402)])
async def test_both_at_once_get_the_first_answer_where_a_second_is_refused(
    here: House, bob: Customer, path: str, refusal: int
) -> None:
    await bob.credit(5_000)  # An hour of one Nano, and no more.
    bodies = {
        "/api/ssh-keys": {"name": "k", "public_key": KEY},
        "/api/templates": {"name": "t", "vcpu": 1, "memory_mb": 512, "disk_gb": 10, "user_data": "#!/bin/sh\n"},
        "/api/vps": {"name": "a", "plan_id": await here.nano()},
    }
    body = bodies[path]
    answers = await asyncio.gather(*(bob.ask("POST", path, headers=FIRST, json=body) for _ in range(10)))
    second = await bob.ask("POST", path, json=body)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 9
    assert second.status_code == refusal


async def test_another_body_or_path_under_the_key_is_422(here: House, ann: Customer) -> None:
    await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json={"name": "k", "public_key": KEY})
    other_body = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json={"name": "l", "public_key": KEY})
    other_path = await ann.ask("POST", "/api/vps", headers=FIRST, json={"name": "a", "plan_id": await here.nano()})

    assert other_body.status_code == other_path.status_code == 422
    assert other_body.json()["code"] == "idempotency_key_reused"


@pytest.fixture
def claims(databases: Databases, here: House) -> Iterator[psycopg.Connection]:
    """A connection that may change what is kept with claims, as nobody of the service may."""
    with databases.superuser(here.runtime.database_url) as connection:
        yield connection


async def test_an_answer_that_was_put_under_another_key_is_never_told(
    here: House, ann: Customer, claims: psycopg.Connection
) -> None:
    sealer = here.runtime.sealer
    await ann.ask("POST", "/api/tokens", headers={"idempotency-key": "one"}, json={"name": "secret"})
    await ann.ask("POST", "/api/ssh-keys", headers={"idempotency-key": "two"}, json={"name": "k", "public_key": KEY})
    one, two = (sealer.keyed_hash(SCOPE, f"{ann.id}:{key}") for key in ("one", "two"))
    moved = claims.execute(
        "UPDATE ledger.claim AS put SET kept = taken.kept FROM ledger.claim AS taken"
        " WHERE put.scope = %(scope)s AND taken.scope = %(scope)s AND put.key = %(two)s AND taken.key = %(one)s",
        {"scope": SCOPE, "one": one, "two": two},
    )
    assert moved.rowcount == 1

    told = await ann.ask(
        "POST", "/api/ssh-keys", headers={"idempotency-key": "two"}, json={"name": "k", "public_key": KEY}
    )

    assert told.status_code == 500
    assert "vtk_" not in told.text


async def test_an_answer_that_an_older_release_kept_is_told(
    here: House, ann: Customer, claims: psycopg.Connection
) -> None:
    store, sealer = here.runtime.store, here.runtime.sealer
    body = {"name": "k", "public_key": KEY}
    first = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)
    key = sealer.keyed_hash(SCOPE, f"{ann.id}:first")
    claim = await store.find_claim(SCOPE, key)
    assert claim is not None
    kept = opened(sealer, (claim.kept or b"").decode())
    older = sealer.seal(ann.id, EventId(uuid4()), "kept", kept).encode()
    changed = claims.execute("UPDATE ledger.claim SET kept = %s WHERE scope = %s AND key = %s", [older, SCOPE, key])
    assert changed.rowcount == 1

    again = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)

    assert (again.status_code, again.content) == (201, first.content)


async def test_each_account_has_its_own_keys(ann: Customer, bob: Customer) -> None:
    body = {"name": "k", "public_key": KEY}
    hers = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)
    his = await bob.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)

    assert hers.json()["id"] != his.json()["id"]
    assert "idempotency-replayed" not in his.headers


async def test_a_refusal_leaves_the_key_free(here: House, bob: Customer) -> None:
    body = {"name": "a", "plan_id": await here.nano()}
    refused = await bob.ask("POST", "/api/vps", headers=FIRST, json=body)
    await bob.credit(1_000_000)
    made = await bob.ask("POST", "/api/vps", headers=FIRST, json=body)

    assert (refused.status_code, made.status_code) == (402, 201)
    assert "idempotency-replayed" not in made.headers


async def test_what_changed_nothing_is_kept_too(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        first = await ann.ask("POST", f"/api/vps/{vps_id}/start", headers=FIRST)
        await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        await ann.until(vps_id, "stopped")
        again = await ann.ask("POST", f"/api/vps/{vps_id}/start", headers=FIRST)

        assert first.status_code == again.status_code == 200
        assert first.content == again.content
        assert (await ann.ask("GET", f"/api/vps/{vps_id}")).json()["pending"] is None


async def test_after_a_day_a_key_is_free_again(databases: Databases) -> None:
    clock = ManualClock()
    async with house(databases, clock=clock) as here:
        ann = await here.register()
        body = {"name": "k", "public_key": KEY}
        first = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)
        clock.advance(24 * 3600 + 1)
        login = {"email": ann.email, "password": PASSWORD}
        ann.token = (await here.client.post("/api/auth/login", json=login)).json()["token"]
        again = await ann.ask("POST", "/api/ssh-keys", headers=FIRST, json=body)

        assert (first.status_code, again.status_code) == (201, 409)
        assert await here.runtime.sweep_claims() == 2, "the key, and the code that registering mailed"


async def test_a_repeated_exec_runs_once(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        body = {"command": "sleep 0.2; uname -a"}
        answers = await asyncio.gather(
            *(ann.ask("POST", f"/api/vps/{vps_id}/exec", headers=FIRST, json=body) for _ in range(5))
        )
        later = await ann.ask("POST", f"/api/vps/{vps_id}/exec", headers=FIRST, json=body)
        other = await ann.ask("POST", f"/api/vps/{vps_id}/exec", headers=FIRST, json={"command": "true"})

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job_id"] for answer in (*answers, later)}) == 1
    assert later.headers["idempotency-replayed"] == "true"
    assert other.status_code == 422


@pytest.mark.parametrize("key", ["", "x" * 256, "ä"])
async def test_a_key_is_plain_and_short(ann: Customer, key: str) -> None:
    headers = {"idempotency-key": key.encode("latin-1")}
    response = await ann.ask("POST", "/api/ssh-keys", headers=headers, json={"name": "k", "public_key": KEY})  # type: ignore[arg-type]

    assert (response.status_code, set(response.json()["fields"])) == (400, {"Idempotency-Key"})
