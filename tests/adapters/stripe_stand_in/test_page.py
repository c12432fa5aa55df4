"""The checkout page: what it says in each state, where its buttons lead, what it keeps out."""

import re

import httpx
import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.stripe_stand_ins import TestClock, session_of, types_of, whole

pytestmark = pytest.mark.anyio


@pytest.fixture
def browser(stand_in: StripeStandIn) -> httpx.AsyncClient:
    """Return a browser without scripts or pictures."""
    return httpx.AsyncClient(base_url=stand_in.public_url)


async def test_the_page_says_what_is_paid_and_that_no_money_moves(
    client: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of(1250))

    page = await browser.get(made.url or "")

    assert page.status_code == 200
    for words in ("Pay $12.50", "Funds", "ada@example.com", "no money moves", "Pay later", "Decline", "Cancel"):
        assert words in page.text
    assert not re.search(r"<script|https?://", page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("choice", "leads", "status", "payment_status"),
    [
        ("pay", "http://127.0.0.1:9/paid?session=", "complete", "paid"),
        ("later", "http://127.0.0.1:9/paid?session=", "complete", "unpaid"),
        ("decline", "cs_test_", "open", "unpaid"),
        ("cancel", "http://127.0.0.1:9/cancelled", "open", "unpaid"),
        ("anything", "cs_test_", "open", "unpaid"),
    ],
)
async def test_a_button_does_what_it_says_and_leads_on(
    client: stripe.StripeClient, browser: httpx.AsyncClient, choice: str, leads: str, status: str, payment_status: str
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())

    answer = await browser.post(made.url or "", data={"choice": choice})

    assert answer.status_code == 303
    assert answer.headers["location"].startswith(leads)
    assert "{CHECKOUT_SESSION_ID}" not in answer.headers["location"]
    session = await client.v1.checkout.sessions.retrieve_async(made.id)
    assert (session.status, session.payment_status) == (status, payment_status)


async def test_what_was_paid_is_not_paid_again(
    stand_in: StripeStandIn, client: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    address = made.url or ""
    for _ in range(3):
        assert (await browser.post(address, data={"choice": "pay"})).status_code == 303

    assert "This session is paid" in (await browser.get(address)).text
    assert types_of(stand_in).count("charge.succeeded") == 1


async def test_a_payment_that_waits_for_a_bank_is_decided_on_the_page(
    client: stripe.StripeClient, browser: httpx.AsyncClient
) -> None:
    for choice, payment_status, says in (("arrive", "paid", "is paid"), ("refuse", "unpaid", "payment failed")):
        made = await client.v1.checkout.sessions.create_async(session_of())
        await browser.post(made.url or "", data={"choice": "later"})
        assert "Waiting for the bank" in (await browser.get(made.url or "")).text

        await browser.post(made.url or "", data={"choice": choice})

        assert (await whole(client, made.id)).payment_status == payment_status
        assert says in (await browser.get(made.url or "")).text


async def test_a_card_that_was_declined_is_told(client: stripe.StripeClient, browser: httpx.AsyncClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    assert "declined" not in (await browser.get(made.url or "")).text

    await browser.post(made.url or "", data={"choice": "decline"})

    assert "The card was declined" in (await browser.get(made.url or "")).text


async def test_a_session_that_expired_or_never_was_says_so(
    stand_in: StripeStandIn, client: stripe.StripeClient, browser: httpx.AsyncClient, clock: TestClock
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    clock.pass_(86_400)

    expired = await browser.get(made.url or "")
    assert (expired.status_code, "has expired" in expired.text) == (410, True)
    for address in ("/checkout/cs_test_none", "/checkout/", f"/checkout/{stand_in.events()[0]['id']}"):
        unknown = await browser.get(address)
        assert (unknown.status_code, "no such session" in unknown.text) == (404, True)
    assert (await browser.post("/checkout/cs_test_none", data={"choice": "pay"})).status_code == 303


async def test_what_a_customer_writes_stays_text(client: stripe.StripeClient, browser: httpx.AsyncClient) -> None:
    over = session_of(customer_email="<b>\"'&@example.com", success_url="javascript:alert(1)", cancel_url="x;y z://'")
    made = await client.v1.checkout.sessions.create_async(over)

    page = await browser.get(made.url or "")

    assert "<b>" not in page.text
    assert "form-action 'self';" in page.headers["content-security-policy"]


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_a_form_of_another_place_pays_nothing(
    client: stripe.StripeClient, browser: httpx.AsyncClient, origin: str
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())

    sent = await browser.post(made.url or "", data={"choice": "pay"}, headers={"origin": origin})

    assert sent.status_code == 403
    assert (await client.v1.checkout.sessions.retrieve_async(made.id)).status == "open"
