"""402 means: pay what is told, and the same request succeeds; what paying cannot cure is never 402."""

from collections.abc import Awaitable, Callable

import httpx
import pytest

from api.http.pipeline.errors import STATUS
from domain.errors import Refusal
from domain.wallet.funds import AccountFrozen, InsufficientBalance
from tests.api.houses import Customer, House
from tests.api.http.funds import paid, spend, tell_all
from tests.api.http.holders import make

pytestmark = pytest.mark.anyio

Ask = Callable[[], Awaitable[httpx.Response]]


async def _create(who: Customer) -> httpx.Response:
    return await who.ask("POST", "/api/vps", json={"name": "web", "plan_id": await who.house.nano()})


async def _no_balance(_house: House, bob: Customer) -> Ask:
    await bob.credit(4_200)
    assert (await _create(bob)).status_code == 201
    return lambda: _create(bob)


async def _frozen(house: House, bob: Customer) -> Ask:
    session = await paid(house, bob, 10)
    async with house.working():
        vps_id = (await _create(bob)).json()["id"]
        await bob.until(vps_id, "running")
        await spend(house, bob, vps_id, 9_000_000)
        house.stripe.dashboard.open_dispute(session, 1000)
        await tell_all(house)
        await bob.until(vps_id, "stopped")
    return lambda: bob.ask("POST", f"/api/vps/{vps_id}/start")


CASES: dict[type[Refusal], tuple[Callable[[House, Customer], Awaitable[Ask]], float]] = {
    InsufficientBalance: (_no_balance, 5.0),
    AccountFrozen: (_frozen, 9.01),
}
"""How each refusal that is a 402 comes about, and the top-up that cures it."""


def test_every_402_has_a_case() -> None:
    assert {kind for kind, status in STATUS.items() if status == 402} == set(CASES)


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.code)
async def test_the_same_request_succeeds_once_exactly_the_top_up_is_paid(
    here: House, bob: Customer, kind: type[Refusal]
) -> None:
    made, top_up = CASES[kind]
    ask = await made(here, bob)
    refused = await ask()
    assert (refused.status_code, refused.json()["code"]) == (402, kind.code)
    assert refused.json()["top_up"] == top_up
    assert refused.json()["shortfall"] <= top_up

    await paid(here, bob, refused.json()["top_up"])

    assert (await ask()).status_code in (201, 202)


async def test_a_frozen_account_is_told_the_debt_and_the_hours(here: House, bob: Customer) -> None:
    refused = (await (await _frozen(here, bob))()).json()

    assert refused == {
        "error": "account is frozen until what it owes is paid",
        "code": "account_frozen",
        "owed": 9,
        "shortfall": 9.0042,
        "top_up": 9.01,
    }


async def test_a_tokens_limit_comes_before_what_paying_cures(bob: Customer) -> None:
    token = await make(bob, spend_limit=0.0041)
    refused = await _create(token)

    assert refused.status_code == 403
    assert refused.json() == {
        "error": "token spend limit reached",
        "code": "token_spend_limit_reached",
        "left": 0.0041,
        "required": 0.0042,
    }
