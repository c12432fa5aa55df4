"""Stripe's side of the money: fees, pending and available, lists of balance transactions, payouts."""

import pytest
import stripe

from adapters.stripe_stand_in.application import ApiError, StripeStandIn
from adapters.stripe_stand_in.balance import AVAILABLE_AFTER_S, charge_fee
from tests.stripe_stand_ins import START, TestClock, paid_session, types_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("cents", "fee"), [(500, 45), (1000, 59), (5000, 175), (1017, 59), (1018, 60), (1, 30)])
async def test_the_fee_is_rounded_to_the_nearest_cent(cents: int, fee: int) -> None:
    assert charge_fee(cents) == fee


async def test_funds_become_available_by_time(
    stand_in: StripeStandIn, client: stripe.StripeClient, clock: TestClock
) -> None:
    charge = (await paid_session(stand_in, client)).payment_intent.latest_charge
    moved = charge.balance_transaction
    assert (moved.status, moved.available_on, moved.source) == ("pending", START + AVAILABLE_AFTER_S, charge.id)
    balance = await client.v1.balance.retrieve_async()
    assert (balance.available[0].amount, balance.pending[0].amount) == (0, 941)

    clock.pass_(AVAILABLE_AFTER_S)

    assert (await client.v1.balance_transactions.retrieve_async(moved.id)).status == "available"
    balance = await client.v1.balance.retrieve_async()
    assert (balance.available[0].amount, balance.pending[0].amount) == (941, 0)


async def test_balance_transactions_are_listed_newest_first_page_by_page(
    stand_in: StripeStandIn, client: stripe.StripeClient, clock: TestClock
) -> None:
    for _ in range(5):
        session = await paid_session(stand_in, client)
        clock.pass_(10)
    stand_in.dashboard.refund(session.id)
    transactions = client.v1.balance_transactions

    whole = [one async for one in (await transactions.list_async({"limit": 2})).auto_paging_iter()]
    assert [one.type for one in whole] == ["refund", *["charge"] * 5]
    assert [one.created for one in whole] == sorted((one.created for one in whole), reverse=True)
    since = await transactions.list_async({"created": {"gte": START + 30}, "type": "charge"})
    assert [one.created for one in since.data] == [START + 40, START + 30]
    between = await transactions.list_async({"created": {"gt": START, "lt": START + 20}})
    assert [one.created for one in between.data] == [START + 10]
    assert len((await transactions.list_async({"created": START + 20})).data) == 1
    page = await transactions.list_async({"limit": 2, "ending_before": whole[3].id})
    assert ([one.id for one in page.data], page.has_more) == ([whole[1].id, whole[2].id], True)
    of_one = await transactions.list_async({"source": str(whole[0].source)})
    assert [one.id for one in of_one.data] == [whole[0].id]
    expanded = await transactions.list_async({"limit": 1, "expand": ["data.source"]})
    assert isinstance(expanded.data[0].source, stripe.Refund)


@pytest.mark.parametrize("asked", [{"limit": 101}, {"limit": 0}, {"starting_after": "txn_none"}, {"colour": "red"}])
async def test_a_list_that_cannot_be_is_refused(client: stripe.StripeClient, asked: dict[str, object]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.balance_transactions.list_async(asked)  # type: ignore[arg-type]


async def test_all_that_is_available_is_paid_out(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    await paid_session(stand_in, client)
    with pytest.raises(ApiError):
        stand_in.dashboard.pay_out()
    stand_in.dashboard.make_available()

    sent = stand_in.dashboard.pay_out()

    [payout] = (await client.v1.payouts.list_async({"status": "in_transit"})).data
    assert (payout.id, payout.amount, payout.automatic) == (sent["id"], 941, True)
    assert stand_in.dashboard.balance()["available"][0]["amount"] == 0
    inside = await client.v1.balance_transactions.list_async({"payout": payout.id})
    assert [(one.type, one.net) for one in inside.data] == [("payout", -941), ("charge", 941)]
    stand_in.dashboard.payout_arrived(payout.id)
    assert (await client.v1.payouts.retrieve_async(payout.id)).status == "paid"
    assert types_of(stand_in)[-3:] == ["balance.available", "payout.created", "payout.paid"]


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_payout_that_fails_comes_back(
    stand_in: StripeStandIn, client: stripe.StripeClient, arrived: bool
) -> None:
    await paid_session(stand_in, client)
    stand_in.dashboard.make_available()
    sent = stand_in.dashboard.pay_out(900)
    if arrived:
        stand_in.dashboard.payout_arrived(sent["id"])

    stand_in.dashboard.payout_failed(sent["id"])

    payout = await client.v1.payouts.retrieve_async(sent["id"], {"expand": ["failure_balance_transaction"]})
    assert (payout.status, payout.failure_code, payout.automatic) == ("failed", "account_closed", False)
    assert isinstance(payout.failure_balance_transaction, stripe.BalanceTransaction)
    assert (payout.failure_balance_transaction.type, payout.failure_balance_transaction.amount) == (
        "payout_failure",
        900,
    )
    assert stand_in.dashboard.balance()["available"][0]["amount"] == 941
    with pytest.raises(ApiError):
        stand_in.dashboard.payout_arrived(sent["id"])
    with pytest.raises(ApiError):
        stand_in.dashboard.pay_out(942)
