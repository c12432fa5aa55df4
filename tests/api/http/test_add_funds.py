"""Funds are paid in by a Checkout, once, for what was asked."""

import asyncio
from uuid import UUID

import pytest

from api.application.payments.funds import CHECKOUTS
from domain.payments import events
from domain.wallet.events import FundsAdded
from tests.api.houses import Customer, House
from tests.api.http.funds import (
    KEY,
    as_json,
    balance,
    recorded,
    tell_all,
)

pytestmark = pytest.mark.anyio


async def test_what_was_paid_is_credited(here: House, bob: Customer) -> None:
    answer = await bob.ask("POST", "/api/billing/add-funds", json={"amount": 12.34})
    told = answer.json()

    assert answer.status_code == 200
    assert told["url"].startswith("http://litevps.test/development/stripe/checkout/cs_test_")
    assert set(told) == {"url", "payment_id"}
    assert await balance(bob) == 0
    here.stripe.dashboard.pay(told["url"].rpartition("/")[2])
    await tell_all(here)
    assert await balance(bob) == 12_340_000
    (added,) = await recorded(here, FundsAdded)
    assert (added.account_id, added.payment_id, added.amount) == (bob.id, UUID(told["payment_id"]), 12_340_000)


async def test_the_page_is_reached_under_the_address_of_the_service(here: House, bob: Customer) -> None:
    answer = await bob.ask("POST", "/api/billing/add-funds", json={"amount": 5})
    page = await here.client.get(answer.json()["url"])

    assert page.status_code == 200
    assert "$5.00" in page.text


@pytest.mark.parametrize("amount", ["5", "5.00", "50", "50.0", "49.99"])
async def test_amounts_within_the_bounds_are_taken_exactly(here: House, bob: Customer, amount: str) -> None:
    answer = await bob.ask("POST", "/api/billing/add-funds", **as_json(f'{{"amount": {amount}}}'))
    session = here.stripe.dashboard.pay(answer.json()["url"].rpartition("/")[2])
    await tell_all(here)

    dollars, _, cents = amount.partition(".")
    assert session["amount_total"] == int(dollars) * 100 + int(cents.ljust(2, "0") or 0)
    assert await balance(bob) == session["amount_total"] * 10_000


@pytest.mark.parametrize(
    "amount",
    ["4.99", "50.01", "0", "-10", "10.005", "10.0000001", "1e2", "1e9", '"10"', "null", "true", "[10]", '{"usd": 10}'],
)
async def test_other_amounts_are_refused_by_name(here: House, bob: Customer, amount: str) -> None:
    answer = await bob.ask("POST", "/api/billing/add-funds", **as_json(f'{{"amount": {amount}}}'))

    assert answer.status_code == 400, answer.text
    assert set(answer.json()["fields"]) == {"amount"}
    assert await recorded(here, events.CheckoutRequested) == []


async def test_funds_are_not_for_tokens(here: House, ann: Customer) -> None:
    token = (await ann.ask("POST", "/api/tokens", json={"name": "ci"})).json()["token"]
    agent = Customer(here, ann.id, ann.email, token)

    for method, path, body in (
        ("POST", "/api/billing/add-funds", {"amount": 10}),
        ("POST", "/api/billing/refunds", {}),
        ("GET", "/api/billing/refunds", None),
    ):
        assert (await agent.ask(method, path, json=body)).status_code == 403


async def test_a_repeat_under_the_same_key_is_sent_to_the_same_page(here: House, bob: Customer) -> None:
    answers = await asyncio.gather(
        *(bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10}) for _ in range(5))
    )

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    assert len(await recorded(here, events.CheckoutRequested)) == len(await recorded(here, events.CheckoutOpened)) == 1
    other = await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 11})
    assert other.status_code == 422


async def test_while_stripe_is_down_it_is_said_so_and_a_repeat_goes_on(here: House, bob: Customer, quick: None) -> None:
    here.stripe.dashboard.fault("error", count=3, status=500)
    first = await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10})
    again = await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10})

    assert (first.status_code, first.json()["code"]) == (503, "payments_unavailable")
    assert "retry-after" in first.headers
    assert again.status_code == 200
    assert len(await recorded(here, events.CheckoutRequested)) == 1


async def test_what_stripe_refuses_is_told_and_leaves_the_key_free(here: House, bob: Customer) -> None:
    here.stripe.dashboard.fault("error", status=400, path="/v1/checkout/sessions")
    first = await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10})
    again = await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10})

    assert (first.status_code, first.json()["code"]) == (502, "checkout_refused")
    assert again.status_code == 200
    assert [one.cause for one in await recorded(here, events.CheckoutFailed)] == ["refused"]


async def test_repeats_at_once_of_what_stripe_refused_are_sent_to_one_page(here: House, bob: Customer) -> None:
    here.stripe.dashboard.fault("error", status=400, path="/v1/checkout/sessions")
    await bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10})
    answers = await asyncio.gather(
        *(bob.ask("POST", "/api/billing/add-funds", KEY, json={"amount": 10}) for _ in range(4))
    )

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["payment_id"] for answer in answers}) == 1
    assert len(await recorded(here, events.CheckoutRequested)) == 2


async def test_a_payer_comes_back_to_a_page_without_data(here: House) -> None:
    for path in ("/billing/done", "/billing/left"):
        page = await here.client.get(path)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "close this page" in page.text


async def test_an_account_asks_for_so_many_checkouts_a_minute(here: House, ann: Customer, bob: Customer) -> None:
    statuses = [
        (await bob.ask("POST", "/api/billing/add-funds", json={"amount": 5})).status_code
        for _ in range(CHECKOUTS.tries + 2)
    ]

    assert statuses == [200] * CHECKOUTS.tries + [429] * 2
    assert (await ann.ask("POST", "/api/billing/add-funds", json={"amount": 5})).status_code == 200
