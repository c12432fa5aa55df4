"""Checkout Sessions as the official client sees them: made, paid at once or later, declined, expired."""

from typing import Any

import pytest
import stripe

from adapters.stripe_stand_in.application import ApiError, StripeStandIn
from tests.stripe_stand_ins import TestClock, paid_session, serving, session_of, types_of, whole

pytestmark = pytest.mark.anyio


async def test_a_session_is_made_as_it_was_asked_for(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of(1250))

    assert made.id.startswith("cs_test_")
    assert made.url == f"{stand_in.public_url}/checkout/{made.id}"
    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (made.amount_total, made.currency, made.client_reference_id) == (1250, "usd", "reference")
    assert made.metadata is not None
    assert made.metadata.to_dict() == {"account": "account"}
    assert not made.livemode
    items = await client.v1.checkout.sessions.line_items.list_async(made.id)
    assert [(item.description, item.amount_total) for item in items.data] == [("Funds", 1250)]


async def test_a_base_address_with_a_path_reaches_a_stand_in_under_a_prefix() -> None:
    async with serving(prefix="/development/stripe") as (stand_in, client):
        made = await client.v1.checkout.sessions.create_async(session_of())
        stand_in.dashboard.pay(made.id)
        page = await client.v1.events.list_async({"limit": 2})

        assert (made.url or "").endswith(f"/development/stripe/checkout/{made.id}")
        assert len([event async for event in page.auto_paging_iter()]) == len(stand_in.events()) == 5


async def test_a_session_that_is_paid_leads_to_intent_charge_and_balance_transaction(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    session = await paid_session(stand_in, client)

    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    intent = session.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata["account"]) == ("succeeded", 1000, "account")
    charge = intent.latest_charge
    assert (charge.status, charge.paid, charge.amount, charge.payment_intent) == ("succeeded", True, 1000, intent.id)
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (59, 941)
    assert types_of(stand_in) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
        "checkout.session.completed",
    ]
    found = await client.v1.checkout.sessions.list_async({"payment_intent": intent.id})
    assert [one.id for one in found.data] == [session.id]
    charges = await client.v1.charges.list_async({"payment_intent": intent.id, "expand": ["data.refunds"]})
    assert [one.id for one in charges.data] == [charge.id]
    assert charges.data[0].refunds is not None
    assert charges.data[0].refunds.data == []


async def test_the_fee_of_a_charge_may_be_known_only_later(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.pay(made.id, fees_later=True)
    assert (await whole(client, made.id)).payment_intent.latest_charge.balance_transaction is None

    stand_in.dashboard.post_fees(made.id)
    stand_in.dashboard.post_fees(made.id)

    assert (await whole(client, made.id)).payment_intent.latest_charge.balance_transaction.fee == 59
    assert types_of(stand_in).count("charge.updated") == 1


async def test_a_card_that_is_declined_leaves_the_session_open(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.decline(made.id)

    session = await whole(client, made.id)
    assert (session.status, session.payment_status) == ("open", "unpaid")
    assert session.payment_intent.status == "requires_payment_method"
    assert session.payment_intent.last_payment_error.code == "card_declined"
    assert session.payment_intent.latest_charge.status == "failed"
    assert "checkout.session.completed" not in types_of(stand_in)

    stand_in.dashboard.pay(made.id)
    again = await whole(client, made.id)
    assert (again.payment_status, again.payment_intent.id) == ("paid", session.payment_intent.id)
    charges = await client.v1.charges.list_async({"payment_intent": again.payment_intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


async def test_a_payment_by_a_slow_bank_completes_first_and_is_paid_later(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.pay_later(made.id)
    waiting = await whole(client, made.id)
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert (waiting.payment_intent.status, waiting.payment_intent.latest_charge.status) == ("processing", "pending")

    stand_in.dashboard.bank_pays(made.id)

    session = await whole(client, made.id)
    assert session.payment_status == "paid"
    assert session.payment_intent.latest_charge.id.startswith("py_")
    assert session.payment_intent.latest_charge.balance_transaction.type == "payment"
    assert types_of(stand_in)[-1] == "checkout.session.async_payment_succeeded"


async def test_a_payment_by_a_slow_bank_may_fail(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.pay_later(made.id)
    stand_in.dashboard.bank_refuses(made.id)

    session = await whole(client, made.id)
    assert (session.status, session.payment_status) == ("complete", "unpaid")
    assert session.payment_intent.status == "requires_payment_method"
    assert types_of(stand_in)[-1] == "checkout.session.async_payment_failed"
    assert stand_in.dashboard.balance()["pending"][0]["amount"] == 0
    with pytest.raises(ApiError):
        stand_in.dashboard.bank_pays(made.id)


async def test_a_session_expires_when_its_time_is_over(
    stand_in: StripeStandIn, client: stripe.StripeClient, clock: TestClock
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of(expires_at=clock.now + 1800))
    clock.pass_(1799)
    assert (await client.v1.checkout.sessions.retrieve_async(made.id)).status == "open"

    clock.pass_(1)
    with pytest.raises(ApiError):
        stand_in.dashboard.pay(made.id)

    session = await client.v1.checkout.sessions.retrieve_async(made.id)
    assert (session.status, session.url) == ("expired", None)
    assert types_of(stand_in) == ["checkout.session.expired"]


async def test_a_session_is_expired_on_request_and_only_while_it_is_open(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())

    assert (await client.v1.checkout.sessions.expire_async(made.id)).status == "expired"

    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.checkout.sessions.expire_async(made.id)
    with pytest.raises(ApiError):
        stand_in.dashboard.pay(made.id)


@pytest.mark.parametrize(
    ("over", "param"),
    [
        ({"mode": "subscription"}, "mode"),
        ({"line_items": []}, "line_items"),
        ({"success_url": ""}, "success_url"),
        ({"expires_at": 1_790_000_000 + 1799}, "expires_at"),
        ({"expires_at": 1_790_000_000 + 86_401}, "expires_at"),
        ({"colour": "red"}, "colour"),
        ({"metadata": {"long": "x" * 501}}, "metadata"),
        ({"client_reference_id": "x" * 201}, "client_reference_id"),
        ({"payment_intent_data": {"colour": "red"}}, "payment_intent_data[colour]"),
    ],
)
async def test_parameters_that_stripe_refuses_are_refused(
    client: stripe.StripeClient, over: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.checkout.sessions.create_async(session_of(**over))

    assert (refusal.value.param, refusal.value.http_status) == (param, 400)


async def test_a_session_that_is_not_there_is_not_found(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.checkout.sessions.retrieve_async("cs_test_none")

    assert (refusal.value.http_status, refusal.value.code) == (404, "resource_missing")


async def test_what_cannot_be_expanded_is_refused(client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())

    for path in ("currency", "nothing", "metadata.account.more", "a.b.c.d.e"):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.checkout.sessions.retrieve_async(made.id, {"expand": [path]})
    lines = await client.v1.checkout.sessions.retrieve_async(made.id, {"expand": ["line_items"]})
    assert lines.line_items is not None


async def test_a_session_can_be_made_to_look_otherwise(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    forged = {"amount_total": 999_999, "currency": "eur", "client_reference_id": "other", "metadata": {}}
    stand_in.dashboard.tamper(session.id, forged)

    seen = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (seen.amount_total, seen.currency, seen.client_reference_id) == (999_999, "eur", "other")

    stand_in.dashboard.tamper(session.id, {})
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).amount_total == 1000
    with pytest.raises(ApiError):
        stand_in.dashboard.tamper("cs_test_none", {})
