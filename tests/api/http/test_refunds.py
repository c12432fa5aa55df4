"""Money that goes back: on request, from the dashboard, by a dispute; and a debt that stops VPSs."""

import asyncio

import pytest

from api.application.payments import refunding
from api.workers.payment_reconciliation import PaymentReconciler
from domain.errors import Contended
from domain.payments import events
from domain.ports import StoreUnavailable
from domain.wallet.events import FundsTaken
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House
from tests.api.http.funds import (
    KEY,
    balance,
    forget_pauses,
    paid,
    recorded,
    spend,
    tell_all,
)

pytestmark = pytest.mark.anyio


async def test_unused_funds_go_back(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    await paid(here, bob, 5)
    answer = await bob.ask("POST", "/api/billing/refunds", json={"amount": 7.50})

    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert [one["amount"] for one in told["refunds"]] == [5, 2.5]
    assert (told["balance"], told["balance_micros"]) == (7.5, 7_500_000)
    assert answer.headers["x-balance-remaining"] == "7.5000"
    listed = (await bob.ask("GET", "/api/billing/refunds")).json()
    assert sorted(one["id"] for one in listed) == sorted(one["id"] for one in told["refunds"])
    assert {one["state"] for one in listed} == {"settled"}
    assert await balance(bob) == 7_500_000


async def test_all_that_was_paid_goes_back_and_what_was_given_stays(here: House, ann: Customer) -> None:
    await paid(here, ann, 25)
    answer = await ann.ask("POST", "/api/billing/refunds", json={})

    assert [one["amount"] for one in answer.json()["refunds"]] == [25]
    assert answer.json()["balance"] == 10
    again = await ann.ask("POST", "/api/billing/refunds", json={})
    assert (again.status_code, again.json()["code"]) == (409, "nothing_to_refund")


async def test_more_than_can_go_back_is_refused(here: House, ann: Customer) -> None:
    await paid(here, ann, 5)
    answer = await ann.ask("POST", "/api/billing/refunds", json={"amount": 5.01})

    assert answer.status_code == 409
    assert answer.json() == {
        "error": "more than can be refunded",
        "code": "more_than_refundable",
        "refundable": 5,
        "requested": 5.01,
    }
    assert await balance(ann) == 15_000_000


async def test_a_refund_is_requested_once_under_a_key(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    answers = await asyncio.gather(
        *(bob.ask("POST", "/api/billing/refunds", KEY, json={"amount": 2}) for _ in range(4))
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert await balance(bob) == 8_000_000
    assert len(await recorded(here, events.RefundRequested)) == 1


async def test_a_refund_that_stripe_will_not_make_is_given_back(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    here.stripe.dashboard.next_refunds("refused")
    answer = await bob.ask("POST", "/api/billing/refunds", json={})

    assert answer.headers["x-balance-remaining"] == "10.0000"
    assert await balance(bob) == 10_000_000
    assert [one["state"] for one in (await bob.ask("GET", "/api/billing/refunds")).json()] == ["failed"]


async def test_minutes_that_ran_are_paid_before_the_rest_goes_back(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    async with here.working():
        vps = await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
        await bob.until(vps.json()["id"], "running")
    answer = await bob.ask("POST", "/api/billing/refunds", json={})

    assert [one["amount"] for one in answer.json()["refunds"]] == [9.99]
    assert answer.json()["balance_micros"] == 10_000 - 70


@pytest.mark.parametrize("problem", [Contended(), StoreUnavailable("away")])
async def test_a_refund_that_is_recorded_is_told_whatever_comes_of_asking_stripe(
    here: House, bob: Customer, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    await paid(here, bob, 10)

    async def fail(*_given: object) -> None:
        raise problem

    monkeypatch.setattr(refunding, "ensure_refunded", fail)
    answer = await bob.ask("POST", "/api/billing/refunds", json={"amount": 4})

    assert answer.status_code == 202, answer.text
    assert answer.headers["x-balance-remaining"] == "6.0000"


async def test_a_refund_waits_for_stripe_and_the_sweep_sees_it_through(here: House, bob: Customer, quick: None) -> None:
    await paid(here, bob, 10)
    here.stripe.dashboard.fault("error", count=1000, status=503)
    answer = await bob.ask("POST", "/api/billing/refunds", json={})
    here.stripe.dashboard.clear_faults()
    assert answer.json()["balance"] == 0
    await forget_pauses(here)
    assert [one["state"] for one in (await bob.ask("GET", "/api/billing/refunds")).json()] == ["requested"]
    here.stripe.dashboard.next_refunds("pending")
    await PaymentReconciler(here.runtime.payments).run()
    (refund,) = (await bob.ask("GET", "/api/billing/refunds")).json()
    assert refund["state"] == "open"


async def test_a_refund_that_fails_later_is_given_back(here: House, bob: Customer) -> None:
    await paid(here, bob, 10)
    await bob.ask("POST", "/api/billing/refunds", json={"amount": 4})
    (opened,) = await recorded(here, events.RefundOpened)
    here.stripe.dashboard.fail_refund(opened.stripe_refund_id)
    await tell_all(here)

    assert await balance(bob) == 10_000_000
    (failed,) = await recorded(here, events.RefundFailed)
    assert failed.was_settled


async def test_a_refund_of_the_dashboard_is_taken_from_the_balance(here: House, bob: Customer) -> None:
    session = await paid(here, bob, 10)
    here.stripe.dashboard.refund(session, 300)
    await tell_all(here)

    assert await balance(bob) == 7_000_000
    (taken,) = await recorded(here, FundsTaken)
    assert (taken.cause, taken.taken) == ("outside-refund", 3_000_000)
    (listed,) = (await bob.ask("GET", "/api/billing/refunds")).json()
    assert (listed["id"], listed["amount"]) == (taken.key, 3)


async def test_a_dispute_of_what_was_spent_stops_every_vps_until_the_debt_is_paid(here: House, bob: Customer) -> None:
    session = await paid(here, bob, 10)
    async with here.working():
        made = await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
        vps_id = made.json()["id"]
        await bob.until(vps_id, "running")
        await spend(here, bob, vps_id, 9_000_000)
        here.stripe.dashboard.open_dispute(session, 1000)
        await tell_all(here)
        await bob.until(vps_id, "stopped")
        refused = await bob.ask("POST", f"/api/vps/{vps_id}/start")
        assert (refused.status_code, refused.json()["code"]) == (402, "account_frozen")

        wallet = wallet_ref(bob.id)
        assert await balance(bob) == 0
        owed = (await here.runtime.aggregates.load(wallet)).of(wallet).receivable
        assert owed == 9_000_000
        await paid(here, bob, 50)
        after = (await here.runtime.aggregates.load(wallet)).of(wallet)
        assert (after.receivable, after.balance) == (0, 50_000_000 - owed)
        assert (await bob.ask("POST", f"/api/vps/{vps_id}/start")).status_code == 202


async def test_a_dispute_that_is_won_gives_it_back(here: House, bob: Customer) -> None:
    session = await paid(here, bob, 10)
    dispute = here.stripe.dashboard.open_dispute(session)["id"]
    await tell_all(here)
    assert await balance(bob) == 0
    here.stripe.dashboard.win_dispute(dispute)
    await tell_all(here)

    assert await balance(bob) == 10_000_000
