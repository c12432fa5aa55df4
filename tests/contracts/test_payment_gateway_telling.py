"""What Stripe tells by itself, in webhooks and lists, is read as it was meant, and believed only if it is signed."""

import pytest
from structlog.testing import capture_logs

from adapters.stripe import shapes
from adapters.stripe.gateway import StripeGateway
from domain.money import MicroUsd
from domain.payments.ports import (
    BadSignature,
    StripeEvent,
)
from domain.time import Instant, seconds
from tests.contracts.payment_gateways import GatewayScene, made, quick, scene

__all__ = ["quick", "scene"]

pytestmark = pytest.mark.anyio


async def test_balance_transactions_are_told_oldest_first_and_become_available(scene: GatewayScene) -> None:
    begun = scene.now
    _, seen = await scene.paid()
    dashboard = scene.stand_in.dashboard
    dashboard.refund(seen.session_id, 100)
    dashboard.win_dispute(dashboard.open_dispute(seen.session_id, 500)["id"])
    await scene.paid(amount=MicroUsd(50_000_000))
    pending = (await scene.gateway.transactions_since(begun, 10))[0]
    dashboard.make_available()
    dashboard.payout_failed(dashboard.pay_out(100)["id"])

    moved = await scene.gateway.transactions_since(begun, 10)
    assert [(one.kind, one.amount) for one in moved] == [
        ("charge", 10_000_000),
        ("refund", -1_000_000),
        ("dispute", -5_000_000),
        ("dispute-reversal", 5_000_000),
        ("charge", 50_000_000),
        ("payout", -1_000_000),
        ("payout-failure", 1_000_000),
    ]
    assert (moved[0].fee, moved[2].fee) == (MicroUsd(590_000), MicroUsd(15_000_000))
    assert not pending.is_available
    found = await scene.gateway.find_transaction(pending.transaction_id)
    assert found is not None
    assert found.is_available


async def test_a_long_list_is_told_from_its_oldest_on_without_a_gap(scene: GatewayScene) -> None:
    begun = scene.now
    ids = []
    for _ in range(7):
        scene.clock[0] += 100
        await scene.paid()
        ids.append(scene.clock[0])
    few = made(scene.stand_in, scene.clock, page_items=2, pages_max=2)

    since, told = begun, []
    while True:
        found = await few.gateway.transactions_since(since, 2)
        if not found or found[-1].transaction_id in told:
            break
        told += [one.transaction_id for one in found if one.transaction_id not in told]
        since = found[-1].happened_at
    assert told == [one.transaction_id for one in await scene.gateway.transactions_since(begun, 100)]
    assert len(told) == 7
    await few.gateway.close()


async def test_what_moves_in_other_currencies_stands_in_the_way_of_nothing(scene: GatewayScene) -> None:
    begun = scene.now
    for _ in range(3):
        scene.clock[0] += 100
        await scene.paid()
    first_two = (await scene.gateway.transactions_since(begun, 10))[:2]
    with scene.stand_in._changing() as open_objects:
        for moved in first_two:
            open_objects.keep(open_objects.get("balance_transaction", moved.transaction_id) | {"currency": "eur"})

    (ours,) = await scene.gateway.transactions_since(begun, 2)
    assert ours.happened_at == scene.now


async def test_events_are_told_oldest_first_and_point_at_their_payment(scene: GatewayScene) -> None:
    begun = scene.now
    order, seen = await scene.paid()
    scene.clock[0] += 60
    scene.stand_in.dashboard.open_dispute(seen.session_id)
    events = {event.kind: event for event in await scene.gateway.events_since(begun, 100)}

    completed = events["checkout.session.completed"]
    assert (completed.session_id, completed.payment_reference) == (seen.session_id, str(order.payment_id))
    assert events["charge.succeeded"].payment_reference == str(order.payment_id)
    disputed = events["charge.dispute.created"]
    assert disputed.payment_intent_id == seen.payment_intent_id
    assert disputed.happened_at == begun + seconds(60)
    assert scene.gateway.read_event(disputed.raw) == disputed
    later = await scene.gateway.events_since(disputed.happened_at, 100)
    assert {event.kind.partition(".")[0] for event in later} == {"charge"}


async def test_what_cannot_be_read_of_a_list_keeps_nothing_from_being_seen_that_comes_after_it(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = scene.now
    for _ in range(2):
        await scene.paid()
    listed = [event.stripe_event_id for event in await scene.gateway.events_since(begun, 100)]
    first, second = await scene.gateway.transactions_since(begun, 100)
    was = shapes.stripe_event

    def read(raw: bytes) -> StripeEvent:
        event = was(raw)
        if event.stripe_event_id == listed[0]:
            raise ValueError("not an event of Stripe")
        return event

    monkeypatch.setattr(shapes, "stripe_event", read)
    with scene.stand_in._changing() as open_objects:
        open_objects.keep(open_objects.get("balance_transaction", first.transaction_id) | {"amount": "much"})

    with capture_logs() as logs:
        assert [event.stripe_event_id for event in await scene.gateway.events_since(begun, 100)] == listed[1:]
        assert await scene.gateway.transactions_since(begun, 100) == [second]
    assert len(logs) == 2


async def test_a_webhook_of_stripe_is_believed(scene: GatewayScene) -> None:
    _, seen = await scene.paid()
    event = next(one for one in scene.stand_in.events() if one["type"] == "checkout.session.completed")
    raw, signature = scene.stand_in.signed(event)

    told = scene.gateway.read_webhook(raw, signature, scene.now)
    assert (told.stripe_event_id, told.kind, told.session_id) == (event["id"], event["type"], seen.session_id)
    assert told.raw.encode() == raw


async def test_a_webhook_is_not_believed_unless_every_byte_is_signed_in_time(scene: GatewayScene) -> None:
    await scene.paid()
    event = scene.stand_in.events()[0]
    raw, signature = scene.stand_in.signed(event)
    timestamp, _, digest = signature.partition(",")
    bad = [
        (raw + b" ", signature, 0),
        (raw, scene.stand_in.signed(event, secret="whsec_another")[1], 0),
        (raw, signature, 301),
        (raw, signature, -301),
        (raw, f"t={scene.clock[0] + 1},{digest}", 0),
        (raw, timestamp, 0),
        (raw, f"{timestamp},v0={digest[3:]}", 0),
        (raw, f"{timestamp},t=1,{digest}", 0),
        (raw, "", 0),
        (raw, "t=²,v1=é", 0),
    ]
    for body, header, late_s in bad:
        with pytest.raises(BadSignature):
            scene.gateway.read_webhook(body, header, Instant(scene.now + seconds(late_s)))
    assert scene.gateway.read_webhook(raw, signature, Instant(scene.now + seconds(300)))


async def test_one_secret_may_follow_another(scene: GatewayScene) -> None:
    await scene.paid()
    event = scene.stand_in.events()[0]
    both = StripeGateway("sk_test_x", ["whsec_old", "whsec_new"], public_url="http://litevps.test")
    for secret in ("whsec_old", "whsec_new"):
        raw, signature = scene.stand_in.signed(event, secret=secret)
        assert both.read_webhook(raw, signature, scene.now).stripe_event_id == event["id"]
    await both.close()


async def test_what_is_signed_and_no_event_cannot_be_read(scene: GatewayScene) -> None:
    raw, signature = scene.stand_in.signed({"object": "event"})
    with pytest.raises(ValueError, match="not an event"):
        scene.gateway.read_webhook(raw, signature, scene.now)
