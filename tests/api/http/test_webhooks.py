"""Webhooks: believed if signed, kept first, applied once, in any order and number."""

import asyncio
import random
from typing import Any

import pytest

from api.workers.payment_reconciliation import PaymentReconciler
from domain.ids import UNKNOWN_PAYER, stripe_event_stream
from domain.payments import events
from domain.payments.recording import STRIPE_CLAIM
from domain.wallet.events import FundsAdded
from tests.api.houses import Customer, House
from tests.api.http.funds import (
    WEBHOOK,
    asked,
    balance,
    forget_pauses,
    paid,
    recorded,
    tell,
    tell_all,
)

pytestmark = pytest.mark.anyio


async def test_however_often_and_in_whatever_order_stripe_tells_it_is_credited_once(here: House, bob: Customer) -> None:
    here.stripe.dashboard.pay(await asked(bob))
    told = here.stripe.events() * 10
    random.Random(7).shuffle(told)
    answers = await asyncio.gather(*(tell(here, event) for event in told))
    await PaymentReconciler(here.runtime.payments).run()

    assert {answer.status_code for answer in answers} == {200}
    assert await balance(bob) == 10_000_000
    assert len(await recorded(here, FundsAdded)) == 1
    received = await recorded(here, events.StripeEventReceived)
    assert len(received) == len({event.stripe_event_id for event in received}) == len(here.stripe.events())
    applied = await recorded(here, events.StripeEventApplied)
    assert len(applied) == len(received)


async def test_what_stripe_tells_is_kept_sealed_for_its_account(here: House, bob: Customer) -> None:
    await paid(here, bob)
    kept = [event for event in await recorded(here, events.StripeEventReceived) if "checkout" in event.kind]

    assert {event.account_id for event in kept} == {bob.id}
    assert all(bob.email not in event.raw for event in kept)


async def test_a_webhook_that_nobody_signed_changes_nothing(here: House, bob: Customer) -> None:
    here.stripe.dashboard.pay(await asked(bob))
    event = here.stripe.events()[-1]
    raw, signature = here.stripe.signed(event)
    head = await here.runtime.store.head()
    late = here.stripe.clock() - 301
    answers = [
        await here.client.post(WEBHOOK, content=raw),
        await here.client.post(WEBHOOK, content=raw + b" ", headers={"stripe-signature": signature}),
        await tell(here, event, secret="whsec_guessed"),
        await tell(here, event, at=late),
    ]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "bad_signature")}
    assert await here.runtime.store.head() == head
    assert await balance(bob) == 0


async def test_a_webhook_that_is_signed_and_no_event_is_refused(here: House) -> None:
    answer = await tell(here, {"hello": "world"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_a_webhook_is_no_larger_than_a_quarter_of_a_mebibyte(here: House) -> None:
    answer = await here.client.post(WEBHOOK, content=b" " * (256 * 1024 + 1))

    assert answer.status_code == 413


async def test_a_webhook_that_cannot_be_applied_is_kept_and_the_sweep_applies_it(
    here: House, bob: Customer, quick: None
) -> None:
    here.stripe.dashboard.pay(await asked(bob))
    here.stripe.dashboard.fault("error", count=1000, status=503)
    told = await tell_all(here)
    assert await balance(bob) == 0
    here.stripe.dashboard.clear_faults()
    for _ in range(3):
        await PaymentReconciler(here.runtime.payments).run()
        await forget_pauses(here)

    assert await balance(bob) == 10_000_000
    assert len(await recorded(here, events.StripeEventApplied)) == len(told)


async def test_a_payment_that_no_webhook_tells_of_is_found(here: House, bob: Customer) -> None:
    here.stripe.dashboard.pay(await asked(bob))
    await PaymentReconciler(here.runtime.payments).run()

    assert await balance(bob) == 10_000_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount_total": 5000}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"client_reference_id": "of-somebody-else"}, "payment"),
        ({"metadata": {"account_id": "00000000-0000-0000-0000-000000000001"}}, "account"),
        ({"mode": "subscription"}, "mode"),
    ],
)
async def test_what_is_not_what_was_asked_for_is_not_credited(
    here: House, bob: Customer, changes: dict[str, Any], field: str
) -> None:
    session = await asked(bob)
    here.stripe.dashboard.pay(session)
    event = here.stripe.events()[-1]
    here.stripe.dashboard.tamper(session, changes)
    await tell(here, event)
    await PaymentReconciler(here.runtime.payments).run()

    assert await balance(bob) == 0
    assert [one.field for one in await recorded(here, events.PaymentMismatched)] == [field]


async def test_an_event_of_nobodys_payment_is_kept_and_comes_to_nothing(here: House, bob: Customer) -> None:
    await paid(here, bob)
    event = here.stripe.events()[-1] | {"id": "evt_foreign"}
    event["data"] = {"object": {"id": "cs_foreign", "object": "checkout.session", "client_reference_id": "shop-7"}}
    answer = await tell(here, event)

    assert answer.status_code == 200
    (kept,) = [one for one in await recorded(here, events.StripeEventReceived) if one.stripe_event_id == "evt_foreign"]
    (applied,) = [
        one for one in await recorded(here, events.StripeEventApplied) if one.stripe_event_id == "evt_foreign"
    ]
    assert (kept.account_id, applied.payment_id) == (UNKNOWN_PAYER, None)


async def test_a_dispute_that_is_told_before_its_payment_is_looked_up_with_it(here: House, bob: Customer) -> None:
    session = await asked(bob)
    here.stripe.dashboard.pay(session)
    here.stripe.dashboard.open_dispute(session, 400)
    disputed = next(one for one in here.stripe.events() if one["type"] == "charge.dispute.created")
    assert (await tell(here, disputed)).status_code == 200

    assert await balance(bob) == 6_000_000
    assert len(await recorded(here, FundsAdded)) == 1
    assert len(await recorded(here, events.DisputeOpened)) == 1


async def test_a_refund_of_a_payment_that_did_not_come_from_here_comes_to_nothing(here: House, bob: Customer) -> None:
    await paid(here, bob)
    event = here.stripe.events()[-1] | {"id": "evt_foreign", "type": "charge.refunded"}
    event["data"] = {"object": {"id": "ch_foreign", "object": "charge", "payment_intent": "pi_foreign"}}
    assert (await tell(here, event)).status_code == 200

    applied = (await recorded(here, events.StripeEventApplied))[-1]
    assert (applied.stripe_event_id, applied.payment_id) == ("evt_foreign", None)
    assert await balance(bob) == 10_000_000


async def test_a_webhook_that_is_told_again_is_answered_and_changes_nothing_more(here: House, bob: Customer) -> None:
    here.stripe.dashboard.pay(await asked(bob))
    completed = next(one for one in here.stripe.events() if one["type"] == "checkout.session.completed")
    for _ in range(3):
        assert (await tell(here, completed)).json() == {"received": True}

    assert await balance(bob) == 10_000_000
    assert len(await recorded(here, events.StripeEventReceived)) == 1
    claim = await here.runtime.store.find_claim(STRIPE_CLAIM, f"{completed['id']}:received".encode())
    assert claim is not None
    assert claim.holder == stripe_event_stream(completed["id"])
