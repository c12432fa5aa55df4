"""Whoever pays and asks back in a circle, so that the house pays Stripe's fee each time."""

import asyncio
from collections import Counter

import pytest

from api.application.repository import CommandContext
from domain.books import chart
from domain.books.postings import postings
from domain.events import Actor, Event
from domain.payments import events
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_REF, change
from domain.wallet.events import FundsTaken
from tests.api.houses import PASSWORD, Customer, House
from tests.api.http.funds import asked, balance, paid, recorded, tell_all

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
    await here.runtime.aggregates.execute(
        [SETTINGS_REF],
        lambda loaded, _now: change(loaded.of(SETTINGS_REF), ChangeSetting("refunds_per_30_days", 3)),
        CommandContext(actor=Actor("service", part="test"), account_id=None),
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


async def set_to(house: House, name: str, value: str) -> None:
    await house.runtime.aggregates.execute(
        [SETTINGS_REF],
        lambda loaded, _now: change(loaded.of(SETTINGS_REF), ChangeSetting(name, value)),
        CommandContext(actor=Actor("service", part="test"), account_id=None),
    )


async def test_with_fees_kept_what_goes_back_is_less_what_stripe_kept(here: House, bob: Customer) -> None:
    await set_to(here, "refund_keeps_fee", "on")
    await paid(here, bob, 10)

    halves = [(await bob.ask("POST", REFUNDS, json={"amount": 5})).json()["refunds"][0] for _ in range(2)]

    # Of 10 USD, Stripe keeps 2.9 % and 30 cents.
    assert [(half["amount"], half["fee"]) for half in halves] == [(4.71, 0.29), (4.7, 0.3)]
    assert await balance(bob) == 0
    listed = (await bob.ask("GET", REFUNDS)).json()
    assert [(one["amount"], one["fee"]) for one in listed] == [(4.7, 0.3), (4.71, 0.29)]
    books = await posted(here)
    assert books[chart.REFUND_FEES] == -590_000
    assert sum(books.values()) == 0
    # What Stripe was asked for, as it tells of it.
    await tell_all(here)
    assert [one.amount for one in await recorded(here, events.RefundSettled)] == [4_710_000, 4_700_000]
    assert (await posted(here))[chart.REFUNDS_PAYABLE] == 0


async def test_of_a_refund_that_fails_the_fee_is_given_back_too(here: House, bob: Customer) -> None:
    await set_to(here, "refund_keeps_fee", "on")
    await paid(here, bob, 10)
    here.stripe.dashboard.next_refunds("refused")

    await bob.ask("POST", REFUNDS, json={})

    assert await balance(bob) == 10_000_000
    books = await posted(here)
    assert (books[chart.REFUND_FEES], books[chart.REFUNDS_PAYABLE]) == (0, 0)
    again = (await bob.ask("POST", REFUNDS, json={})).json()["refunds"][0]
    assert (again["amount"], again["fee"]) == (9.41, 0.59)


async def test_a_fee_that_stripe_does_not_tell_yet_is_waited_for(here: House, bob: Customer) -> None:
    await set_to(here, "refund_keeps_fee", "on")
    session = await asked(bob, 10)
    here.stripe.dashboard.pay(session, fees_later=True)
    await tell_all(here)

    refused = await bob.ask("POST", REFUNDS, json={})

    assert (refused.status_code, refused.json()["code"]) == (503, "payments_unavailable")
    assert "retry-after" in refused.headers
    assert await balance(bob) == 10_000_000


async def test_with_fees_kept_an_account_that_is_closed_bears_them_as_well(here: House, bob: Customer) -> None:
    await set_to(here, "refund_keeps_fee", "on")
    await paid(here, bob, 10)

    closed = await bob.ask("DELETE", "/api/me", json={"password": PASSWORD})

    assert closed.json()["refunded"] == 9.41
    (requested,) = await recorded(here, events.RefundRequested)
    assert requested.amount == 9_410_000


async def posted(house: House) -> Counter[str]:
    """Return the books."""
    books: Counter[str] = Counter()
    for event in await recorded(house, Event):
        for posting in postings(event):
            books[posting.account] += posting.amount
    return books


async def test_closing_the_account_brings_all_of_it_all_the_same(here: House, bob: Customer) -> None:
    assert [await pay_and_ask_back(here, bob) for _ in range(2)] == [202, 202]
    await paid(here, bob, 5)

    closed = await bob.ask("DELETE", "/api/me", json={"password": PASSWORD})

    assert closed.status_code == 200, closed.text
    taken = await recorded(here, FundsTaken)
    assert [one.taken for one in taken] == [5_000_000] * 3
