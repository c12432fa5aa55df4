"""What tokens may spend, from the request to the minute that is one too many."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from adapters.simulated.clock import ManualClock
from api.workers.host_observation import observe_host
from tests.api.houses import PASSWORD, ROOMY, Customer, house
from tests.api.http.holders import listed, make
from tests.databases import Databases

pytestmark = pytest.mark.anyio

HOUR_OF_NANO = 0.0042


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ann(databases: Databases, clock: ManualClock) -> AsyncIterator[Customer]:
    """A customer with 10 USD, whose time goes as the test says."""
    async with house(databases, ROOMY, clock) as made:
        customer = await made.register()
        await customer.credit(10_000_000)
        yield customer


async def create(customer: Customer, name: str = "a") -> dict[str, str]:
    """Have a VPS made that must be admitted."""
    response = await customer.ask("POST", "/api/vps", json={"name": name, "plan_id": await customer.house.nano()})
    assert response.status_code == 201, response.text
    made: dict[str, str] = response.json()
    return made


async def minutes_pass(customer: Customer, clock: ManualClock, minutes: int) -> None:
    """Let time pass, have the host show what runs, and settle."""
    clock.advance(60 * minutes)
    for hypervisor in customer.house.runtime.worker.hypervisors.values():
        await observe_host(customer.house.runtime.worker, hypervisor)
    await customer.house.runtime.settle_due()


async def test_a_quote_tells_what_is_left_of_a_limit_apart_from_what_the_account_has(ann: Customer) -> None:
    ci = await make(ann, spend_limit=0.008399)
    await create(ann, "of-a-session")
    await create(ci)
    body = {"name": "b", "plan_id": await ann.house.nano()}
    quote = (await ci.ask("POST", "/api/vps", params={"dry_run": "true"}, json=body)).json()

    real = await ci.ask("POST", "/api/vps", json=body)
    assert (quote["would_be"], quote["code"]) == (real.status_code, real.json()["code"])
    assert quote["code"] == "token_spend_limit_reached"
    assert (quote["token_left"], quote["token_required"]) == (0.008399, 0.0084)
    assert (quote["balance"], quote["required"], quote["shortfall"]) == (10, 0.0126, 0)


async def test_a_token_is_refused_what_its_limit_does_not_cover_for_an_hour(ann: Customer) -> None:
    ci = await make(ann, spend_limit=0.008399)
    await create(ci)

    refused = await ci.ask("POST", "/api/vps", json={"name": "b", "plan_id": await ann.house.nano()})

    assert refused.status_code == 403
    assert refused.text == (
        '{"error":"token spend limit reached","code":"token_spend_limit_reached","left":0.0083,"required":0.0084}'
    )
    assert refused.headers["x-balance-remaining"] == "10.0000"
    assert [vps["name"] for vps in (await ann.ask("GET", "/api/vps")).json()] == ["a"]


async def test_the_account_and_its_other_tokens_go_on(ann: Customer) -> None:
    ci, ops = await make(ann, spend_limit=0.0042), await make(ann)
    await create(ci, "a")

    await create(ann, "b")
    await create(ops, "c")


async def test_a_minute_past_the_limit_stops_the_vps_and_nothing_is_spent_beyond(
    ann: Customer, clock: ManualClock
) -> None:
    ci = await make(ann, spend_limit=0.0042)
    async with ann.house.working():
        vps_id = (await create(ci))["id"]
        await ann.until(vps_id, "running")
        await minutes_pass(ann, clock, 90)
        stopped = await ann.until(vps_id, "stopped")

    (told,) = await listed(ann)
    assert (told["spent"], told["left"]) == (HOUR_OF_NANO, 0)
    assert (stopped["cost"], stopped["metered_minutes"]) == (HOUR_OF_NANO, 60)
    events = (await ci.ask("GET", f"/api/vps/{vps_id}/events")).json()
    assert any("limit" in str(event) for event in events), "its owner is told why"
    again = await ci.ask("POST", f"/api/vps/{vps_id}/start")
    assert (again.status_code, again.json()["left"]) == (403, 0)


async def test_a_month_later_a_monthly_limit_is_whole_again(ann: Customer, clock: ManualClock) -> None:
    ci = await make(ann, spend_limit=0.0042, limit_window="month")
    async with ann.house.working():
        vps_id = (await create(ci))["id"]
        await ann.until(vps_id, "running")
        await minutes_pass(ann, clock, 90)
        await ann.until(vps_id, "stopped")
        assert (await ci.ask("POST", f"/api/vps/{vps_id}/start")).status_code == 403

        clock.advance(31 * 24 * 3_600)
        login = await ann.house.client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
        ann.token = login.json()["token"]  # The session has expired long ago.
        assert [(one["spent"], one["left"]) for one in await listed(ann)] == [(0, HOUR_OF_NANO)]
        assert (await ci.ask("POST", f"/api/vps/{vps_id}/start")).status_code == 202
        await ann.until(vps_id, "running")


async def test_a_limited_token_cannot_switch_on_anothers_vps(ann: Customer) -> None:
    ci, ops = await make(ann, spend_limit=1, name="ci"), await make(ann, name="ops")
    async with ann.house.working():
        vps_id = (await create(ann))["id"]
        await ann.until(vps_id, "running")
        assert (await ci.ask("POST", f"/api/vps/{vps_id}/stop")).status_code == 202, "off it may"
        await ann.until(vps_id, "stopped")

        refused = await ci.ask("POST", f"/api/vps/{vps_id}/start")
        started = await ops.ask("POST", f"/api/vps/{vps_id}/start")

    assert (refused.status_code, refused.json()["code"]) == (403, "vps_not_created_by_token")
    assert started.status_code == 202


async def test_once_a_token_is_revoked_its_vpss_go_on_without_the_limit(ann: Customer, clock: ManualClock) -> None:
    ci = await make(ann, spend_limit=0.0042)
    async with ann.house.working():
        vps_id = (await create(ci))["id"]
        await ann.until(vps_id, "running")
        await minutes_pass(ann, clock, 30)
        await ann.ask("DELETE", f"/api/tokens/{(await listed(ann))[0]['id']}")
        await minutes_pass(ann, clock, 90)

        vps = (await ann.ask("GET", f"/api/vps/{vps_id}")).json()

    assert (vps["state"], vps["metered_minutes"]) == ("running", 121)


async def test_a_command_is_run_as_the_token_that_asked(ann: Customer) -> None:
    ci = await make(ann)
    async with ann.house.working():
        vps_id = (await create(ann))["id"]
        await ann.until(vps_id, "running")
        done = await ci.ask("POST", f"/api/vps/{vps_id}/exec", json={"command": "uname -a"})

    assert done.status_code == 200
    recorded = await ann.house.runtime.store.read_feed(0, 1_000)
    requested = [msgspec.json.decode(one.payload) for one in recorded if one.type.startswith("exec.job-requested")]
    assert [one["token_id"] for one in requested] == [(await listed(ann))[0]["id"]]
