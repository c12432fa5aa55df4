"""Whoever pays and asks back in a circle, so that the house pays Stripe's fee each time."""

import asyncio

import pytest

from api.ledger import Context
from domain.events import Actor
from domain.payments import events
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_VIEW, change
from domain.wallet.events import FundsTaken
from tests.api.houses import PASSWORD, Customer, House
from tests.api.http.funds import balance, paid, recorded

pytestmark = pytest.mark.anyio

REFUNDS = "/api/billing/refunds"


async def pay_and_ask_back(house: House, customer: Customer) -> int:
    await paid(house, customer, 5)
    return (await customer.ask("POST", REFUNDS, json={"amount": 5})).status_code


async def test_a_third_circle_within_30_days_is_429_and_changes_nothing(here: House, bob: Customer) -> None:
    assert [await pay_and_ask_back(here, bob) for _ in range(2)] == [202, 202]
    await paid(here, bob, 5)

    refused = await bob.ask("POST", REFUNDS, json={"amount": 5})

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_refunds")
    assert refused.json()["refunds_max"] == 2
    assert 0 <= 30 * 86_400 - int(refused.headers["retry-after"]) < 600
    assert await balance(bob) == 5_000_000
    assert len(await recorded(here, events.RefundRequested)) == 2


async def test_an_operator_allows_more_of_them(here: House, bob: Customer) -> None:
    await here.runtime.ledger.execute(
        [SETTINGS_VIEW],
        lambda sight, _now: change(sight.of(SETTINGS_VIEW), ChangeSetting("refunds_per_30_days", 3)),
        Context(actor=Actor("service", part="test"), account_id=None),
    )

    assert [await pay_and_ask_back(here, bob) for _ in range(4)] == [202, 202, 202, 429]


async def test_of_refunds_asked_for_at_once_no_more_go_back_than_may(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)

    answers = await asyncio.gather(*(bob.ask("POST", REFUNDS, json={"amount": 1}) for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [202, 202, 429, 429, 429]
    assert await balance(bob) == 8_000_000


async def test_a_request_that_nothing_can_come_of_is_told_so_first(here: House, bob: Customer) -> None:
    assert [await pay_and_ask_back(here, bob) for _ in range(2)] == [202, 202]

    nothing = await bob.ask("POST", REFUNDS, json={})

    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_refund")


async def test_a_refund_that_stripe_refused_does_not_count(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    for _ in range(3):
        here.stripe.dashboard.next_refunds("refused")
        assert (await bob.ask("POST", REFUNDS, json={"amount": 1})).status_code == 202

    assert await balance(bob) == 10_000_000
    assert (await bob.ask("POST", REFUNDS, json={"amount": 1})).status_code == 202


async def test_closing_the_account_brings_all_of_it_all_the_same(here: House, bob: Customer) -> None:
    assert [await pay_and_ask_back(here, bob) for _ in range(2)] == [202, 202]
    await paid(here, bob, 5)

    closed = await bob.ask("DELETE", "/api/me", json={"password": PASSWORD})

    assert closed.status_code == 200, closed.text
    taken = await recorded(here, FundsTaken)
    assert [one.taken for one in taken] == [5_000_000] * 3
