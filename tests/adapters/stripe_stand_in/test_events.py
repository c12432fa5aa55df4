"""Events: listed, signed as Stripe signs, delivered until they are answered."""

import json

import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.stripe_stand_ins import START, Listener, TestClock, paid_session, served, serving, session_of, types_of

pytestmark = pytest.mark.anyio


async def test_every_change_is_an_event_with_a_snapshot(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    session = await paid_session(stand_in, client)
    key = "key-of-a-refund"
    await client.v1.refunds.create_async({"payment_intent": session.payment_intent.id}, {"idempotency_key": key})

    [refunded] = (await client.v1.events.list_async({"type": "charge.refunded"})).data
    assert (refunded.api_version, refunded.livemode) == (stripe.api_version, False)
    assert refunded.data.object["amount_refunded"] == 1000
    assert refunded.data.previous_attributes is not None
    assert refunded.data.previous_attributes.to_dict() == {"amount_refunded": 0}
    assert refunded.request is not None
    assert (refunded.request.idempotency_key, (refunded.request.id or "")[:4]) == (key, "req_")
    [succeeded] = (await client.v1.events.list_async({"types": ["charge.succeeded"]})).data
    assert succeeded.data.object["amount_refunded"] == 0
    assert succeeded.request is not None
    assert (succeeded.request.id, succeeded.request.idempotency_key) == (None, None)
    assert (await client.v1.events.retrieve_async(succeeded.id)).created == START


async def test_events_are_followed_by_time_and_by_the_last_one_known(
    stand_in: StripeStandIn, client: stripe.StripeClient, clock: TestClock
) -> None:
    await paid_session(stand_in, client)
    clock.pass_(100)
    await paid_session(stand_in, client)
    ids = [event["id"] for event in stand_in.events()]

    later = [
        one async for one in (await client.v1.events.list_async({"created": {"gte": START + 100}})).auto_paging_iter()
    ]
    assert [one.id for one in later] == ids[:4:-1]
    older = await client.v1.events.list_async({"starting_after": ids[2]})
    assert [one.id for one in older.data] == [ids[1], ids[0]]


async def test_a_signature_is_one_that_the_official_client_accepts(
    stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    await paid_session(stand_in, client)
    event = stand_in.events()[-1]
    raw, header = stand_in.signed(event, "whsec_known")

    verified = stripe.Webhook.construct_event(raw, header, "whsec_known", tolerance=0)
    assert (verified.id, verified.type) == (event["id"], "checkout.session.completed")
    ours = stripe.WebhookSignature.generate_signature_header(raw.decode(), "whsec_known", START)
    assert header == ours
    for forged in (raw.replace(b"1000", b"9000"), raw + b" "):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(forged, header, "whsec_known", tolerance=0)
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(raw, header, "whsec_other", tolerance=0)


async def test_a_signature_may_be_made_for_any_time(stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    await paid_session(stand_in, client)

    raw, header = stand_in.signed(stand_in.events()[0], at=5)

    assert header.startswith("t=5,v1=")
    with pytest.raises(stripe.SignatureVerificationError, match="Timestamp"):
        stripe.Webhook.construct_event(raw, header, stand_in.webhook_secret)


async def test_a_state_that_is_given_no_secret_has_a_random_one_of_its_own(tmp_path: object) -> None:
    secrets = []
    for state in (f"{tmp_path}/one", f"{tmp_path}/one", f"{tmp_path}/two"):
        stand_in = StripeStandIn(state, public_url="http://127.0.0.1:1")
        secrets.append(stand_in.webhook_secret)
        stand_in.close()

    assert secrets[0] == secrets[1] != secrets[2]
    assert secrets[0].startswith("whsec_")


async def test_events_are_delivered_to_the_webhook() -> None:
    listener = Listener()
    async with (
        served(listener) as webhook,
        serving(webhook_url=webhook, webhook_secret="whsec_x") as (stand_in, client),
    ):
        await paid_session(stand_in, client)
        delivered = await listener.until(5)

        arrived = [stripe.Webhook.construct_event(one.raw, one.signature, "whsec_x") for one in delivered]
        assert sorted(one.id for one in arrived) == sorted(event["id"] for event in stand_in.events())


async def test_an_event_is_delivered_until_it_is_answered_and_then_no_more() -> None:
    listener = Listener(500, 404, 302)
    async with served(listener) as webhook, serving(webhook_url=webhook) as (stand_in, client):
        made = await client.v1.checkout.sessions.create_async(session_of())
        stand_in.dashboard.expire(made.id)
        delivered = await listener.until(4)
        stand_in.dashboard.deliver_again(stand_in.events()[0]["id"])
        again = await listener.until(5)

    assert {json.loads(one.raw)["id"] for one in again} == {stand_in_id(delivered[0].raw)}
    assert len(listener.delivered) == 5


async def test_what_was_not_delivered_is_delivered_after_a_restart(tmp_path: object) -> None:
    state = f"{tmp_path}/state"
    async with serving(state) as (stand_in, client):
        await paid_session(stand_in, client)
        made = types_of(stand_in)
    listener = Listener()
    async with served(listener) as webhook, serving(state, webhook_url=webhook):
        delivered = await listener.until(5)

    assert sorted(json.loads(one.raw)["type"] for one in delivered) == sorted(made)


def stand_in_id(raw: bytes) -> str:
    """Return the id of the event in a raw body."""
    id_: str = json.loads(raw)["id"]
    return id_
