"""The gateway to Stripe keeps to its port, against the stand-in by the official client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from adapters.stripe import connection
from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from domain.ids import AccountId, PaymentId, RefundId
from domain.money import MicroUsd
from domain.payments.ports import (
    BadSignature,
    CheckoutOrder,
    OpenedCheckout,
    PaymentGateway,
    PaymentsRefused,
    PaymentsUnavailable,
    RefundOrder,
    SeenPayment,
)
from domain.time import HOUR, Instant, seconds

pytestmark = pytest.mark.anyio

TEN_USD = MicroUsd(10_000_000)
START_S = 1_790_000_000


class Till(msgspec.Struct, eq=False):
    """A gateway, and what a test does at Stripe without it."""

    gateway: StripeGateway
    stand_in: StripeStandIn
    clock: list[int]

    @property
    def now(self) -> Instant:
        """What time it is at Stripe."""
        return Instant(seconds(self.clock[0]))

    def order(self, **changes: Any) -> CheckoutOrder:
        """Return an order of ten USD, to be paid within an hour."""
        order = CheckoutOrder(
            PaymentId(uuid4()), AccountId(uuid4()), TEN_USD, "ann@example.com", Instant(self.now + HOUR)
        )
        return msgspec.structs.replace(order, **changes)

    async def paid(self, **changes: Any) -> tuple[CheckoutOrder, SeenPayment]:
        """Have a payment made."""
        order = self.order(**changes)
        opened = await self.gateway.ensure_checkout(order)
        self.stand_in.dashboard.pay(opened.session_id)
        return order, await self.seen(opened)

    async def seen(self, opened: OpenedCheckout | SeenPayment) -> SeenPayment:
        """Look at a payment."""
        seen = await self.gateway.find_payment(opened.session_id)
        assert seen is not None
        return seen


def made(stand_in: StripeStandIn, clock: list[int], **more: Any) -> Till:
    transport = httpx.ASGITransport(app=stand_in)
    gateway = StripeGateway(
        "sk_test_x",
        [stand_in.webhook_secret],
        public_url="http://litevps.test",
        api_base=stand_in.public_url,
        transport=transport,
        **more,
    )
    return Till(gateway, stand_in, clock)


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    clock = [START_S]
    stand_in = StripeStandIn(IN_MEMORY, public_url="http://stripe.test/pretend", clock=lambda: clock[0])
    till = made(stand_in, clock)
    yield till
    await till.gateway.close()
    stand_in.close()


def _is_a_gateway(gateway: StripeGateway) -> PaymentGateway:
    return gateway


async def test_a_checkout_is_opened_once_however_often_it_is_asked_for(till: Till) -> None:
    order = till.order()
    opened = await asyncio.gather(*(till.gateway.ensure_checkout(order) for _ in range(3)))

    assert len(set(opened)) == 1
    assert opened[0].url.startswith("http://stripe.test/pretend/checkout/")
    assert opened[0].expires_at == order.expires_at


async def test_a_checkout_is_seen_as_it_was_ordered(till: Till) -> None:
    order = till.order(amount=MicroUsd(12_340_000))
    seen = await till.seen(await till.gateway.ensure_checkout(order))

    assert seen == SeenPayment(
        session_id=seen.session_id,
        payment_reference=str(order.payment_id),
        account_reference=str(order.account_id),
        mode="payment",
        amount=MicroUsd(12_340_000),
        currency="usd",
        state="open",
        payment_intent_id=None,
        charge_id=None,
        received=MicroUsd(0),
    )


async def test_a_checkout_that_was_asked_for_too_late_is_refused(till: Till) -> None:
    with pytest.raises(PaymentsRefused):
        await till.gateway.ensure_checkout(till.order(expires_at=Instant(till.now + seconds(60))))


async def test_a_payment_is_seen_paid(till: Till) -> None:
    _, seen = await till.paid()

    assert (seen.state, seen.received) == ("paid", TEN_USD)
    assert seen.payment_intent_id is not None
    assert seen.charge_id is not None
    assert await till.gateway.session_of(seen.payment_intent_id) == seen.session_id


@pytest.mark.parametrize(
    ("happens", "state"),
    [
        (lambda dashboard, session: dashboard.expire(session), "expired"),
        (lambda dashboard, session: dashboard.decline(session), "open"),
        (lambda dashboard, session: dashboard.pay_later(session), "unpaid"),
        (lambda dashboard, session: (dashboard.pay_later(session), dashboard.bank_pays(session)), "paid"),
        (lambda dashboard, session: (dashboard.pay_later(session), dashboard.bank_refuses(session)), "declined"),
    ],
)
async def test_every_state_of_a_checkout_is_told(till: Till, happens: Callable[..., object], state: str) -> None:
    opened = await till.gateway.ensure_checkout(till.order())
    happens(till.stand_in.dashboard, opened.session_id)

    assert (await till.seen(opened)).state == state


async def test_what_stripe_does_not_have_is_not_found(till: Till) -> None:
    assert await till.gateway.find_payment("cs_none") is None
    assert await till.gateway.session_of("pi_none") is None
    assert await till.gateway.find_transaction("txn_none") is None
    with pytest.raises(PaymentsRefused):
        await till.gateway.ensure_refund(RefundOrder(RefundId(uuid4()), "pi_none", TEN_USD))


async def test_a_checkout_is_expired_and_one_that_is_over_is_left_so(till: Till) -> None:
    opened = await till.gateway.ensure_checkout(till.order())
    await till.gateway.expire_checkout(opened.session_id)
    await till.gateway.expire_checkout(opened.session_id)
    _, paid = await till.paid()
    await till.gateway.expire_checkout(paid.session_id)

    assert ((await till.seen(opened)).state, (await till.seen(paid)).state) == ("expired", "paid")


async def test_a_refund_is_made_once_even_after_stripe_forgot_the_key(till: Till) -> None:
    _, seen = await till.paid()
    assert seen.payment_intent_id is not None
    order = RefundOrder(RefundId(uuid4()), seen.payment_intent_id, MicroUsd(2_500_000))
    first = await asyncio.gather(*(till.gateway.ensure_refund(order) for _ in range(3)))
    till.clock[0] += 3 * 86_400
    again = await till.gateway.ensure_refund(order)

    assert {one.stripe_refund_id for one in (*first, again)} == {again.stripe_refund_id}
    assert (again.refund_id, again.amount, again.state) == (order.refund_id, MicroUsd(2_500_000), "settled")
    assert (await till.seen(seen)).refunds == (again,)


async def test_refunds_are_seen_pending_and_failed_and_those_of_the_dashboard_have_no_id_of_ours(till: Till) -> None:
    _, seen = await till.paid()
    dashboard = till.stand_in.dashboard
    pending = dashboard.refund(seen.session_id, 100, "pending")
    failed = dashboard.refund(seen.session_id, 200)
    dashboard.fail_refund(failed["id"])

    refunds = {one.stripe_refund_id: one for one in (await till.seen(seen)).refunds}
    assert (refunds[pending["id"]].state, refunds[pending["id"]].refund_id) == ("pending", None)
    assert (refunds[failed["id"]].state, refunds[failed["id"]].amount) == ("failed", MicroUsd(2_000_000))


async def test_more_than_was_paid_is_not_refunded(till: Till) -> None:
    _, seen = await till.paid()
    assert seen.payment_intent_id is not None
    with pytest.raises(PaymentsRefused):
        await till.gateway.ensure_refund(RefundOrder(RefundId(uuid4()), seen.payment_intent_id, MicroUsd(10_010_000)))


async def test_a_dispute_is_seen_through_its_life(till: Till) -> None:
    dashboard = till.stand_in.dashboard
    states = []

    async def look(seen: SeenPayment) -> None:
        states.append([(one.state, one.amount) for one in (await till.seen(seen)).disputes])

    _, seen = await till.paid()
    dispute = dashboard.open_dispute(seen.session_id, 600, inquiry=True)["id"]
    await look(seen)
    dashboard.escalate_dispute(dispute)
    await look(seen)
    dashboard.answer_dispute(dispute)
    await look(seen)
    dashboard.win_dispute(dispute)
    await look(seen)
    lost = dashboard.open_dispute(seen.session_id, 400)["id"]
    dashboard.lose_dispute(lost)
    await look(seen)

    six, four = MicroUsd(6_000_000), MicroUsd(4_000_000)
    assert states[:4] == [[("inquiry", six)], [("open", six)], [("open", six)], [("won", six)]]
    assert set(states[4]) == {("won", six), ("lost", four)}


async def test_an_inquiry_that_ends_moves_nothing(till: Till) -> None:
    _, seen = await till.paid()
    dispute = till.stand_in.dashboard.open_dispute(seen.session_id, inquiry=True)["id"]
    till.stand_in.dashboard.close_inquiry(dispute)

    assert [one.state for one in (await till.seen(seen)).disputes] == ["inquiry-closed"]


async def test_balance_transactions_are_told_oldest_first_and_become_available(till: Till) -> None:
    begun = till.now
    _, seen = await till.paid()
    dashboard = till.stand_in.dashboard
    dashboard.refund(seen.session_id, 100)
    dashboard.win_dispute(dashboard.open_dispute(seen.session_id, 500)["id"])
    await till.paid(amount=MicroUsd(50_000_000))
    pending = (await till.gateway.transactions_since(begun, 10))[0]
    dashboard.make_available()
    dashboard.payout_failed(dashboard.pay_out(100)["id"])

    moved = await till.gateway.transactions_since(begun, 10)
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
    found = await till.gateway.find_transaction(pending.transaction_id)
    assert found is not None
    assert found.is_available


async def test_a_long_list_is_told_from_its_oldest_on_without_a_gap(till: Till) -> None:
    begun = till.now
    ids = []
    for _ in range(7):
        till.clock[0] += 100
        await till.paid()
        ids.append(till.clock[0])
    few = made(till.stand_in, till.clock, page_items=2, pages_max=2)

    since, told = begun, []
    while True:
        found = await few.gateway.transactions_since(since, 2)
        if not found or found[-1].transaction_id in told:
            break
        told += [one.transaction_id for one in found if one.transaction_id not in told]
        since = found[-1].happened_at
    assert told == [one.transaction_id for one in await till.gateway.transactions_since(begun, 100)]
    assert len(told) == 7
    await few.gateway.close()


async def test_events_are_told_oldest_first_and_point_at_their_payment(till: Till) -> None:
    begun = till.now
    order, seen = await till.paid()
    till.clock[0] += 60
    till.stand_in.dashboard.open_dispute(seen.session_id)
    events = {event.kind: event for event in await till.gateway.events_since(begun, 100)}

    completed = events["checkout.session.completed"]
    assert (completed.session_id, completed.payment_reference) == (seen.session_id, str(order.payment_id))
    assert events["charge.succeeded"].payment_reference == str(order.payment_id)
    disputed = events["charge.dispute.created"]
    assert disputed.payment_intent_id == seen.payment_intent_id
    assert disputed.happened_at == begun + seconds(60)
    assert till.gateway.read_event(disputed.raw) == disputed
    later = await till.gateway.events_since(disputed.happened_at, 100)
    assert {event.kind.partition(".")[0] for event in later} == {"charge"}


async def test_a_webhook_of_stripe_is_believed(till: Till) -> None:
    _, seen = await till.paid()
    event = next(one for one in till.stand_in.events() if one["type"] == "checkout.session.completed")
    raw, signature = till.stand_in.signed(event)

    told = till.gateway.read_webhook(raw, signature, till.now)
    assert (told.stripe_event_id, told.kind, told.session_id) == (event["id"], event["type"], seen.session_id)
    assert told.raw.encode() == raw


async def test_a_webhook_is_not_believed_unless_every_byte_is_signed_in_time(till: Till) -> None:
    await till.paid()
    event = till.stand_in.events()[0]
    raw, signature = till.stand_in.signed(event)
    timestamp, _, digest = signature.partition(",")
    bad = [
        (raw + b" ", signature, 0),
        (raw, till.stand_in.signed(event, secret="whsec_another")[1], 0),
        (raw, signature, 301),
        (raw, signature, -301),
        (raw, f"t={till.clock[0] + 1},{digest}", 0),
        (raw, timestamp, 0),
        (raw, f"{timestamp},v0={digest[3:]}", 0),
        (raw, f"{timestamp},t=1,{digest}", 0),
        (raw, "", 0),
        (raw, "t=²,v1=é", 0),
    ]
    for body, header, late_s in bad:
        with pytest.raises(BadSignature):
            till.gateway.read_webhook(body, header, Instant(till.now + seconds(late_s)))
    assert till.gateway.read_webhook(raw, signature, Instant(till.now + seconds(300)))


async def test_one_secret_may_follow_another(till: Till) -> None:
    await till.paid()
    event = till.stand_in.events()[0]
    both = StripeGateway("sk_test_x", ["whsec_old", "whsec_new"], public_url="http://litevps.test")
    for secret in ("whsec_old", "whsec_new"):
        raw, signature = till.stand_in.signed(event, secret=secret)
        assert both.read_webhook(raw, signature, till.now).stripe_event_id == event["id"]
    await both.close()


async def test_what_is_signed_and_no_event_cannot_be_read(till: Till) -> None:
    raw, signature = till.stand_in.signed({"object": "event"})
    with pytest.raises(ValueError, match="not an event"):
        till.gateway.read_webhook(raw, signature, till.now)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_what_may_pass_is_told_as_unavailable(till: Till, status: int, quick: None) -> None:
    till.stand_in.dashboard.fault("error", count=10, status=status)
    with pytest.raises(PaymentsUnavailable):
        await till.gateway.ensure_checkout(till.order())


async def test_a_call_that_fails_midway_is_repeated_and_done_once(till: Till, quick: None) -> None:
    till.stand_in.dashboard.fault("error", count=1, status=500, when="after")
    order = till.order()
    opened = await till.gateway.ensure_checkout(order)

    assert await till.gateway.ensure_checkout(order) == opened


async def test_whoever_does_not_answer_is_waited_for_only_so_long(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CALL_TIMEOUT_S", 0.05)
    till.stand_in.dashboard.fault("delay", seconds=5)
    with pytest.raises(PaymentsUnavailable):
        await till.gateway.find_payment("cs_any")


async def test_where_nothing_listens_it_is_unavailable(free_port: int, quick: None) -> None:
    gateway = StripeGateway("sk_test_x", [], public_url="http://a", api_base=f"http://127.0.0.1:{free_port}")
    with pytest.raises(PaymentsUnavailable):
        await gateway.answers()
    await gateway.close()


async def test_amounts_are_never_rounded(till: Till) -> None:
    with pytest.raises(AssertionError):
        await till.gateway.ensure_checkout(till.order(amount=MicroUsd(10_000_001)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client's own retries come at once."""
    monkeypatch.setattr("stripe.HTTPXClient.INITIAL_DELAY", 0.001)
    monkeypatch.setattr("stripe.HTTPXClient.MAX_DELAY", 0.001)
