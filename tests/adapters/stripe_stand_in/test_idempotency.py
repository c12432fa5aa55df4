"""Idempotency keys: the same answer again, other parameters refused, across restarts and at once."""

import asyncio

import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from adapters.stripe_stand_in.idempotency import KEPT_S
from tests.stripe_stand_ins import TestClock, paid_session, serving, session_of

pytestmark = pytest.mark.anyio

KEY: stripe.RequestOptions = {"idempotency_key": "one-key"}


async def test_the_same_key_and_parameters_answer_the_very_same(client: stripe.StripeClient) -> None:
    first = await client.v1.checkout.sessions.create_async(session_of(), KEY)
    again = await client.v1.checkout.sessions.create_async(session_of(), KEY)

    assert first.last_response is not None
    assert again.last_response is not None
    assert again.last_response.body == first.last_response.body
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert again.last_response.headers["original-request"] == first.last_response.headers["request-id"]
    assert len((await client.v1.checkout.sessions.list_async()).data) == 1


async def test_an_answer_is_kept_as_it_was_whatever_happened_since(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of(), KEY)
    stand_in.dashboard.pay(made.id)

    assert (await client.v1.checkout.sessions.create_async(session_of(), KEY)).status == "open"


async def test_the_same_key_with_other_parameters_is_refused(client: stripe.StripeClient) -> None:
    made = await client.v1.checkout.sessions.create_async(session_of(), KEY)

    with pytest.raises(stripe.IdempotencyError) as refusal:
        await client.v1.checkout.sessions.create_async(session_of(2000), KEY)
    assert refusal.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.checkout.sessions.expire_async(made.id, {}, KEY)


async def test_a_key_is_kept_across_a_restart(tmp_path: object) -> None:
    ids = []
    for _ in range(2):
        async with serving(f"{tmp_path}/state") as (_, client):
            ids.append((await client.v1.checkout.sessions.create_async(session_of(), KEY)).id)

    assert ids[0] == ids[1]


async def test_a_key_is_forgotten_after_a_day(client: stripe.StripeClient, clock: TestClock) -> None:
    first = await client.v1.checkout.sessions.create_async(session_of(), KEY)
    clock.pass_(KEPT_S - 1)
    assert (await client.v1.checkout.sessions.create_async(session_of(), KEY)).id == first.id

    clock.pass_(1)
    assert (await client.v1.checkout.sessions.create_async(session_of(), KEY)).id != first.id


async def test_a_refusal_is_kept_too_once_the_request_had_begun(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    session = await paid_session(stand_in, client)
    refund = stand_in.dashboard.refund(session.id)
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id}, KEY)
        stand_in.dashboard.fail_refund(refund["id"]) if refund else None
        refund = {}

    assert refusal.value.code == "charge_already_refunded"
    assert (await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id})).status == "succeeded"


async def test_parameters_that_are_wrong_leave_the_key_free(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await client.v1.checkout.sessions.create_async(session_of(mode="setup"), KEY)

    assert (await client.v1.checkout.sessions.create_async(session_of(), KEY)).status == "open"


async def test_a_key_that_is_in_use_right_now_is_a_conflict(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    stand_in.dashboard.fault("delay", seconds=0.5)
    answers = await asyncio.gather(
        *(client.v1.checkout.sessions.create_async(session_of(), KEY) for _ in range(4)), return_exceptions=True
    )

    conflicts = [answer for answer in answers if isinstance(answer, stripe.APIError)]
    assert [answer.http_status for answer in conflicts] == [409] * 3
    assert len((await client.v1.checkout.sessions.list_async()).data) == 1


async def test_a_key_that_is_too_long_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.checkout.sessions.create_async(session_of(), {"idempotency_key": "x" * 256})
