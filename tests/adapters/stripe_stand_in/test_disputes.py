"""Disputes as the official client sees them: opened, answered, won, lost, inquiries, parts of a payment."""

from typing import Any

import pytest
import stripe

from adapters.stripe_stand_in.application import ApiError, StripeStandIn
from tests.stripe_stand_ins import paid_session, types_of

pytestmark = pytest.mark.anyio


async def dispute_of(client: stripe.StripeClient, intent: str) -> Any:
    """Return the one dispute of a payment intent."""
    [dispute] = (await client.v1.disputes.list_async({"payment_intent": intent})).data
    return dispute


def moves(dispute: Any) -> list[tuple[str, str, int, int, int]]:
    """Return what moved because of a dispute."""
    return [
        (moved.type, moved.reporting_category, moved.amount, moved.fee, moved.net)
        for moved in dispute.balance_transactions
    ]


async def test_a_dispute_withdraws_its_funds_and_a_fee(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    opened = stand_in.dashboard.open_dispute(session.id)

    dispute = await dispute_of(client, session.payment_intent.id)
    assert (dispute.id, dispute.status, dispute.amount) == (opened["id"], "needs_response", 1000)
    assert moves(dispute) == [("adjustment", "dispute", -1000, 1500, -2500)]
    assert (await client.v1.charges.retrieve_async(dispute.charge)).disputed
    assert types_of(stand_in)[-3:] == ["charge.dispute.created", "charge.updated", "charge.dispute.funds_withdrawn"]


async def test_a_dispute_that_is_won_reinstates_its_funds(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    opened = stand_in.dashboard.open_dispute(session.payment_intent.id, 400)
    stand_in.dashboard.answer_dispute(opened["id"])
    assert (await dispute_of(client, session.payment_intent.id)).status == "under_review"

    stand_in.dashboard.win_dispute(opened["id"])

    dispute = await client.v1.disputes.retrieve_async(opened["id"])
    assert dispute.status == "won"
    assert moves(dispute)[1:] == [("adjustment", "dispute_reversal", 400, 0, 400)]
    assert types_of(stand_in)[-2:] == ["charge.dispute.funds_reinstated", "charge.dispute.closed"]
    assert (await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})).amount == 1000


async def test_where_terms_say_so_the_fee_of_a_won_dispute_comes_back(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    session = await paid_session(stand_in, client)
    before = stand_in.dashboard.balance()["pending"][0]["amount"]
    opened = stand_in.dashboard.open_dispute(session.id)

    stand_in.dashboard.win_dispute(opened["id"], fee_returned=True)

    dispute = await client.v1.disputes.retrieve_async(opened["id"])
    assert moves(dispute)[1:] == [("adjustment", "dispute_reversal", 1000, -1500, 2500)]
    stand_in.dashboard.make_available()
    assert stand_in.dashboard.balance()["available"][0]["amount"] == before


async def test_a_dispute_that_is_lost_keeps_what_it_took(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    opened = stand_in.dashboard.open_dispute(session.id)
    stand_in.dashboard.lose_dispute(opened["id"])

    dispute = await dispute_of(client, session.payment_intent.id)
    assert (dispute.status, len(dispute.balance_transactions)) == ("lost", 1)
    assert types_of(stand_in)[-1] == "charge.dispute.closed"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})
    assert refusal.value.code == "charge_disputed"
    for decide in (stand_in.dashboard.win_dispute, stand_in.dashboard.lose_dispute, stand_in.dashboard.answer_dispute):
        with pytest.raises(ApiError):
            decide(opened["id"])


async def test_an_inquiry_takes_nothing_and_may_be_closed(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    opened = stand_in.dashboard.open_dispute(session.id, inquiry=True)
    dispute = await dispute_of(client, session.payment_intent.id)
    assert (dispute.status, moves(dispute), dispute.is_charge_refundable) == ("warning_needs_response", [], True)
    stand_in.dashboard.refund(session.id, 100)

    stand_in.dashboard.answer_dispute(opened["id"])
    stand_in.dashboard.close_inquiry(opened["id"])

    assert (await dispute_of(client, session.payment_intent.id)).status == "warning_closed"
    assert "charge.dispute.funds_withdrawn" not in types_of(stand_in)


async def test_an_inquiry_may_become_a_dispute(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    opened = stand_in.dashboard.open_dispute(session.id, 600, inquiry=True)
    stand_in.dashboard.escalate_dispute(opened["id"])

    dispute = await dispute_of(client, session.payment_intent.id)
    assert (dispute.status, dispute.is_charge_refundable) == ("needs_response", False)
    assert moves(dispute) == [("adjustment", "dispute", -600, 1500, -2100)]
    with pytest.raises(ApiError):
        stand_in.dashboard.close_inquiry(opened["id"])


@pytest.mark.parametrize("cents", [0, 1001])
async def test_no_more_than_the_charge_is_disputed(
    stand_in: StripeStandIn, client: stripe.StripeClient, cents: int
) -> None:
    session = await paid_session(stand_in, client)

    with pytest.raises(ApiError):
        stand_in.dashboard.open_dispute(session.id, cents)

    assert (await client.v1.disputes.list_async({"charge": session.payment_intent.latest_charge.id})).data == []
