"""The stand-in over HTTP: mounted in the service's framework, its dashboard as POSTs, keys, wrong requests."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from litestar import Litestar, asgi

from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from adapters.stripe_stand_in.dashboard import ACTIONS
from tests.stripe_stand_ins import client_of, paid_session, served, serving, session_of

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "development-payments.md"

pytestmark = pytest.mark.anyio


async def test_mounted_in_the_service_it_answers_under_its_prefix() -> None:
    stand_in = StripeStandIn(IN_MEMORY, public_url="")

    @asgi("/development/stripe", is_mount=True, copy_scope=True)
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await stand_in(scope, receive, send)

    async with served(Litestar([mounted], openapi_config=None)) as url:
        stand_in.public_url = f"{url}/development/stripe"
        session = await paid_session(stand_in, client_of(stand_in.public_url))
        async with httpx.AsyncClient() as browser:
            page = await browser.get(f"{stand_in.public_url}/checkout/{session.id}")

    assert (session.payment_status, page.status_code) == ("paid", 200)


async def test_within_one_process_it_needs_no_port() -> None:
    stand_in = StripeStandIn(IN_MEMORY, public_url="http://stand-in.test/stripe")
    stand_in.dashboard.fault("close")
    client = client_of(stand_in.public_url)
    inside: Any = client.v1._requestor._get_http_client()
    inside._client_async = httpx.AsyncClient(transport=httpx.ASGITransport(app=stand_in))

    with pytest.raises(stripe.APIConnectionError):
        await client.v1.events.list_async()
    assert (await client.v1.events.list_async()).data == []
    stand_in.close()


async def test_the_dashboard_is_reached_by_post(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    async with httpx.AsyncClient(base_url=f"{stand_in.public_url}/stand-in/") as dashboard:
        paid = await dashboard.post("pay", json={"session": made.id})
        refund = await dashboard.post("refund", json={"payment": made.id, "amount": 10, "outcome": "pending"})
        settled = await dashboard.post("settle-refund", json={"refund": refund.json()["id"]})
        nothing = await dashboard.post("next-refunds", json={"outcome": "pending"})
        events = await dashboard.get("events")

    assert (paid.json()["payment_status"], settled.json()["status"]) == ("paid", "succeeded")
    assert (nothing.status_code, nothing.json()) == (200, None)
    assert events.json() == stand_in.events()


async def test_the_dashboard_refuses_what_it_does_not_know(stand_in: StripeStandIn) -> None:
    async with httpx.AsyncClient(base_url=f"{stand_in.public_url}/stand-in/") as dashboard:
        assert (await dashboard.post("close", json={})).status_code == 404
        assert (await dashboard.post("pay", json={})).status_code == 400
        assert (await dashboard.post("pay", json={"session": "cs_test_none", "fee": 1})).status_code == 400
        assert (await dashboard.post("pay", json={"session": "cs_test_none"})).status_code == 404
        assert (await dashboard.post("refund", json={"payment": "x", "amount": "1"})).status_code == 400
        assert (await dashboard.post("fault", json={"action": "close", "count": 0})).status_code == 400
        assert (await dashboard.post("pay", json=[])).status_code == 400
        typed = {"content-type": "application/json"}
        assert (await dashboard.post("pay", content=b"{", headers=typed)).status_code == 400
        assert (await dashboard.post("pay", data={"session": "cs_test_none"})).status_code == 405
        assert (await dashboard.get("pay")).status_code == 405


def test_every_public_function_of_the_dashboard_is_an_action() -> None:
    stand_in = StripeStandIn(IN_MEMORY, public_url="")
    public = {name for name in dir(stand_in.dashboard) if not name.startswith("_")}
    stand_in.close()

    assert public == set(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_on_the_page_about_it(action: str) -> None:
    assert f"`{action.replace('_', '-')}`" in PAGE.read_text()


async def test_a_key_is_asked_for() -> None:
    async with serving(api_key="sk_test_right") as (stand_in, client):
        with pytest.raises(stripe.AuthenticationError):
            await client.v1.events.list_async()
        assert (await client_of(stand_in.public_url, "sk_test_right").v1.events.list_async()).data == []
        async with httpx.AsyncClient() as other:
            assert (await other.get(f"{stand_in.public_url}/v1/events")).status_code == 401


async def test_what_is_not_known_of_stripe_is_not_found(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        await client.v1.customers.list_async()
    async with httpx.AsyncClient(base_url=stand_in.public_url) as other:
        assert (await other.get("/elsewhere")).status_code == 404
        bearer = {"authorization": "Bearer sk_test_x"}
        for form in ("a[=1", "mode[x]=1&mode=2", "a=%ff", "mode=payment&line_items[x]=1", "metadata=1", "expand=x"):
            refused = await other.post("/v1/checkout/sessions", content=form, headers=bearer)
            assert refused.status_code == 400, form
        large = await other.post("/v1/checkout/sessions", content=b"x" * (1024 * 1024 + 1), headers=bearer)
        assert large.status_code == 413
