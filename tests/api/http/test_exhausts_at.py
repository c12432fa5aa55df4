"""How long the balance lasts, told with every answer."""

from collections.abc import AsyncIterator

import pytest

from adapters.simulated.clock import ManualClock
from api.application.metering import settle_account
from domain.time import MINUTE, Instant, to_rfc3339
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House, house
from tests.databases import Databases

pytestmark = pytest.mark.anyio

HEADER = "x-balance-exhausts-at"


@pytest.fixture
async def clock() -> ManualClock:
    """A clock that the test drives."""
    return ManualClock()


@pytest.fixture
async def here(databases: Databases, clock: ManualClock) -> AsyncIterator[House]:
    """A service by that clock."""
    async with house(databases, clock=clock) as made:
        yield made


async def test_nothing_is_told_while_nothing_is_on(ann: Customer) -> None:
    assert HEADER not in (await ann.ask("GET", "/api/me")).headers


async def test_the_answer_to_a_create_tells_what_holds_after_it(here: House, bob: Customer, clock: ManualClock) -> None:
    await bob.credit(4_200)
    made = await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
    refused = await bob.ask("POST", "/api/vps", json={"name": "b", "plan_id": await here.nano()})
    unrouted = await bob.ask("GET", "/api/nowhere")

    in_an_hour = to_rfc3339(Instant(clock.now() + 60 * MINUTE))
    assert (made.status_code, made.headers[HEADER]) == (201, in_an_hour)
    assert (refused.status_code, refused.headers[HEADER]) == (402, in_an_hour)
    assert (unrouted.status_code, unrouted.headers[HEADER]) == (404, in_an_hour)


async def test_after_a_delete_nothing_exhausts_the_balance(here: House, ann: Customer) -> None:
    made = await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
    assert HEADER in (await ann.ask("GET", "/api/me")).headers
    assert HEADER not in (await ann.ask("DELETE", f"/api/vps/{made.json()['id']}")).headers
    assert HEADER not in (await ann.ask("GET", "/api/me")).headers


async def test_nobody_unknown_is_told_anything(here: House) -> None:
    assert HEADER not in (await here.client.get("/api/me")).headers
    assert HEADER not in (await here.client.get("/api/pricing")).headers


async def test_more_funds_last_longer_at_once(here: House, bob: Customer, clock: ManualClock) -> None:
    await bob.credit(4_200)
    await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
    await bob.credit(70)

    told = (await bob.ask("GET", "/api/me")).headers[HEADER]
    assert told == to_rfc3339(Instant(clock.now() + 61 * MINUTE))
    await settle_account(here.runtime.aggregates, bob.id)
    wallet = wallet_ref(bob.id)
    assert (await here.runtime.aggregates.load(wallet)).of(wallet).balance == 4_270
