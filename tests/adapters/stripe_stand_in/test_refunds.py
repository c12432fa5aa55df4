"""Refunds as the official client sees them: whole, partial, pending, failed, refused, from the dashboard."""

import pytest
import stripe

from adapters.stripe_stand_in.application import ApiError, StripeStandIn
from tests.stripe_stand_ins import paid_session, session_of, types_of

pytestmark = pytest.mark.anyio


async def test_a_refund_takes_its_amount_from_the_balance(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent

    refund = await client.v1.refunds.create_async(
        {"payment_intent": intent.id, "amount": 300, "metadata": {"why": "unused"}, "expand": ["balance_transaction"]}
    )

    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 300, intent.latest_charge.id)
    assert isinstance(refund.balance_transaction, stripe.BalanceTransaction)
    moved = refund.balance_transaction
    assert (moved.type, moved.amount, moved.fee, moved.net) == ("refund", -300, 0, -300)
    charge = await client.v1.charges.retrieve_async(intent.latest_charge.id, {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (300, False)
    assert charge.refunds is not None
    assert [one.id for one in charge.refunds.data] == [refund.id]
    assert types_of(stand_in)[-2:] == ["charge.refunded", "refund.created"]
    assert (await client.v1.refunds.retrieve_async(refund.id)).metadata == refund.metadata


async def test_a_refund_without_an_amount_takes_what_is_left(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    first = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1})

    rest = await client.v1.refunds.create_async({"charge": intent.latest_charge.id})

    assert rest.amount == 999
    assert (await client.v1.charges.retrieve_async(intent.latest_charge.id)).refunded
    for named in ({"payment_intent": intent.id}, {"charge": intent.latest_charge.id}):
        listed = await client.v1.refunds.list_async(named)  # type: ignore[arg-type]
        assert [one.id for one in listed.data] == [rest.id, first.id]


@pytest.mark.parametrize("cents", [0, 1001, -5])
async def test_more_than_was_paid_is_not_refunded(
    stand_in: StripeStandIn, client: stripe.StripeClient, cents: int
) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": cents})

    assert refusal.value.param == "amount"
    assert (await client.v1.refunds.list_async({"payment_intent": intent.id})).data == []


async def test_what_is_refunded_whole_is_not_refunded_again(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    stand_in.dashboard.refund(intent.id)

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1})

    assert refusal.value.code == "charge_already_refunded"


async def test_what_was_never_paid_is_not_refunded(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.decline(made.id)
    intent = (await client.v1.checkout.sessions.retrieve_async(made.id)).payment_intent

    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await client.v1.refunds.create_async({"payment_intent": str(intent)})
    assert refusal.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError, match="payment_intent or charge"):
        await client.v1.refunds.create_async({"amount": 5})
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        await client.v1.refunds.create_async({"charge": "ch_none"})
    with pytest.raises(ApiError):
        stand_in.dashboard.refund(made.id)


async def test_a_refund_may_be_pending_and_settle_later(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    stand_in.dashboard.next_refunds("pending")

    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 100})
    assert (refund.status, refund.balance_transaction is not None) == ("pending", True)

    stand_in.dashboard.settle_refund(refund.id)
    assert (await client.v1.refunds.retrieve_async(refund.id)).status == "succeeded"
    assert types_of(stand_in)[-2:] == ["refund.updated", "charge.refund.updated"]
    with pytest.raises(ApiError):
        stand_in.dashboard.settle_refund(refund.id)
    assert (await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 1})).status == "succeeded"


async def test_a_refund_that_waits_for_funds_has_no_balance_transaction_yet(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    stand_in.dashboard.next_refunds("waiting")

    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert refund.balance_transaction is None

    settled = stand_in.dashboard.settle_refund(refund.id)
    assert settled["balance_transaction"] is not None
    assert "pending_reason" not in settled


@pytest.mark.parametrize("outcome", ["pending", "succeeded"])
async def test_a_refund_that_fails_gives_the_money_back_to_us(
    stand_in: StripeStandIn, client: stripe.StripeClient, outcome: str
) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    stand_in.dashboard.next_refunds(outcome)  # type: ignore[arg-type]
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 400})

    stand_in.dashboard.fail_refund(refund.id)

    failed = await client.v1.refunds.retrieve_async(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    back = failed.failure_balance_transaction
    assert (back.type, back.amount, back.source) == ("refund_failure", 400, refund.id)
    charge = await client.v1.charges.retrieve_async(intent.latest_charge.id)
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert "refund.failed" in types_of(stand_in)
    with pytest.raises(ApiError):
        stand_in.dashboard.fail_refund(refund.id)


async def test_a_refund_that_never_had_its_funds_fails_without_a_movement(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    session = await paid_session(stand_in, client)
    before = stand_in.dashboard.balance()
    refund = stand_in.dashboard.refund(session.id, 400, outcome="waiting")

    failed = stand_in.dashboard.fail_refund(refund["id"])

    assert "failure_balance_transaction" not in failed
    assert stand_in.dashboard.balance() == before


async def test_a_refund_may_be_refused(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    intent = (await paid_session(stand_in, client)).payment_intent
    stand_in.dashboard.next_refunds("refused", 2)

    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError):
            await client.v1.refunds.create_async({"payment_intent": intent.id})
    assert (await client.v1.refunds.list_async({"payment_intent": intent.id})).data == []


async def test_a_refund_of_a_bank_payment_is_named_as_stripe_names_it(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of())
    stand_in.dashboard.pay_later(made.id)
    stand_in.dashboard.bank_pays(made.id)

    refund = stand_in.dashboard.refund(made.id)

    moved = await client.v1.balance_transactions.retrieve_async(refund["balance_transaction"])
    assert (refund["id"][:4], moved.type, moved.reporting_category) == ("pyr_", "payment_refund", "refund")
