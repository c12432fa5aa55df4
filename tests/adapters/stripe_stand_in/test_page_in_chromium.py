"""The checkout page as people meet it, in a real Chromium."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.browser import Browser, Page
from tests.stripe_stand_ins import served, session_of

pytestmark = pytest.mark.anyio


async def shop(scope: Any, receive: Any, send: Any) -> None:
    """Answer where a customer comes from, and returns to."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    text = f"<!doctype html><title>Shop</title><p>Back at {scope['path']} {scope['query_string'].decode()}"
    headers = [(b"content-type", b"text/html")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return one Chromium for the tests of this module."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def visit(
    chromium: Browser, stand_in: StripeStandIn, client: stripe.StripeClient
) -> Callable[[Callable[[Page], None]], Awaitable[Any]]:
    """Return what makes a session, does something on its page in Chromium, and returns the session."""

    async def visit(act: Callable[[Page], None]) -> Any:
        async with served(shop) as url:
            over: Any = {"success_url": f"{url}/paid?session={{CHECKOUT_SESSION_ID}}", "cancel_url": f"{url}/cancelled"}
            made = await client.v1.checkout.sessions.create_async(session_of(**over))

            def browse() -> None:
                page = chromium.open(made.url or "")
                act(page)
                assert page.complaints() == []
                hosts = {address.split("/")[2] for address in page.requested() if "://" in address}
                assert hosts <= {stand_in.public_url.split("/")[2], url.split("/")[2]}

            await asyncio.to_thread(browse)
            return await client.v1.checkout.sessions.retrieve_async(made.id)

    return visit


async def test_a_customer_pays_and_is_back_at_the_shop(visit: Any, tmp_path: Path) -> None:
    def act(page: Page) -> None:
        assert "no money moves" in page.text
        assert page.title == "Pay $10.00 · development checkout"
        page.screenshot(tmp_path / "page.png")
        page.click("Pay $10.00")
        page.wait_for("Back at /paid session=cs_test_")

    session = await visit(act)

    assert (session.status, session.payment_status) == ("complete", "paid")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


async def test_a_customer_pays_with_the_keyboard_alone(visit: Any) -> None:
    def act(page: Page) -> None:
        page.press("Tab")
        assert page.focused() == "Pay $10.00"
        page.press("Enter")
        page.wait_for("Back at /paid")

    assert (await visit(act)).payment_status == "paid"


async def test_a_customer_whose_card_is_declined_is_told_and_may_cancel(visit: Any) -> None:
    def act(page: Page) -> None:
        page.click("Decline")
        page.wait_for("The card was declined. Nothing was paid.")
        page.click("Cancel")
        page.wait_for("Back at /cancelled")

    session = await visit(act)

    assert (session.status, session.payment_status) == ("open", "unpaid")


async def test_a_customer_whose_bank_takes_days_is_back_before_the_money_is(visit: Any) -> None:
    def act(page: Page) -> None:
        address = page.address
        page.click("Pay later (asynchronous)")
        page.wait_for("Back at /paid")
        page.go(address)
        page.click("Let the payment arrive")
        page.wait_for("Back at /paid")
        page.go(address)
        page.wait_for("This session is paid")

    assert (await visit(act)).payment_status == "paid"
