"""The gateway to Stripe keeps to its port, against the stand-in by the official client."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from adapters.stripe import connection
from adapters.stripe.gateway import StripeGateway
from domain.errors import InvariantBroken
from domain.ids import RefundId
from domain.money import MicroUsd
from domain.payments.ports import (
    PaymentGateway,
    PaymentsRefused,
    PaymentsUnavailable,
    RefundOrder,
    SeenPayment,
)
from domain.time import Instant, seconds
from tests.contracts.payment_gateways import TEN_USD, GatewayScene, quick, scene

__all__ = ["quick", "scene"]

pytestmark = pytest.mark.anyio


def _is_a_gateway(gateway: StripeGateway) -> PaymentGateway:
    return gateway


async def test_a_checkout_is_opened_once_however_often_it_is_asked_for(scene: GatewayScene) -> None:
    order = scene.order()
    opened = await asyncio.gather(*(scene.gateway.ensure_checkout(order) for _ in range(3)))

    assert len(set(opened)) == 1
    assert opened[0].url.startswith("http://stripe.test/pretend/checkout/")
    assert opened[0].expires_at == order.expires_at


async def test_a_checkout_is_seen_as_it_was_ordered(scene: GatewayScene) -> None:
    order = scene.order(amount=MicroUsd(12_340_000))
    seen = await scene.seen(await scene.gateway.ensure_checkout(order))

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


async def test_a_checkout_that_was_asked_for_too_late_is_refused(scene: GatewayScene) -> None:
    with pytest.raises(PaymentsRefused):
        await scene.gateway.ensure_checkout(scene.order(expires_at=Instant(scene.now + seconds(60))))


async def test_a_payment_is_seen_paid(scene: GatewayScene) -> None:
    _, seen = await scene.paid()

    assert (seen.state, seen.received) == ("paid", TEN_USD)
    assert seen.payment_intent_id is not None
    assert seen.charge_id is not None
    assert await scene.gateway.session_of(seen.payment_intent_id) == seen.session_id


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
async def test_every_state_of_a_checkout_is_told(
    scene: GatewayScene, happens: Callable[..., object], state: str
) -> None:
    opened = await scene.gateway.ensure_checkout(scene.order())
    happens(scene.stand_in.dashboard, opened.session_id)

    assert (await scene.seen(opened)).state == state


async def test_what_stripe_kept_of_a_charge_is_told_once_it_is_known(scene: GatewayScene) -> None:
    opened = await scene.gateway.ensure_checkout(scene.order())
    scene.stand_in.dashboard.pay(opened.session_id, fees_later=True)
    seen = await scene.seen(opened)
    assert seen.charge_id is not None
    assert await scene.gateway.fee_of(seen.charge_id) is None

    scene.stand_in.dashboard.post_fees(seen.charge_id)

    assert await scene.gateway.fee_of(seen.charge_id) == 590_000
    assert await scene.gateway.fee_of("ch_none") is None


async def test_what_stripe_does_not_have_is_not_found(scene: GatewayScene) -> None:
    assert await scene.gateway.find_payment("cs_none") is None
    assert await scene.gateway.session_of("pi_none") is None
    assert await scene.gateway.find_transaction("txn_none") is None
    with pytest.raises(PaymentsRefused):
        await scene.gateway.ensure_refund(RefundOrder(RefundId(uuid4()), "pi_none", TEN_USD))


async def test_a_checkout_is_expired_and_one_that_is_over_is_left_so(scene: GatewayScene) -> None:
    opened = await scene.gateway.ensure_checkout(scene.order())
    await scene.gateway.expire_checkout(opened.session_id)
    await scene.gateway.expire_checkout(opened.session_id)
    _, paid = await scene.paid()
    await scene.gateway.expire_checkout(paid.session_id)

    assert ((await scene.seen(opened)).state, (await scene.seen(paid)).state) == ("expired", "paid")


async def test_a_refund_is_made_once_even_after_stripe_forgot_the_key(scene: GatewayScene) -> None:
    _, seen = await scene.paid()
    assert seen.payment_intent_id is not None
    order = RefundOrder(RefundId(uuid4()), seen.payment_intent_id, MicroUsd(2_500_000))
    first = await asyncio.gather(*(scene.gateway.ensure_refund(order) for _ in range(3)))
    scene.clock[0] += 3 * 86_400
    again = await scene.gateway.ensure_refund(order)

    assert {one.stripe_refund_id for one in (*first, again)} == {again.stripe_refund_id}
    assert (again.refund_id, again.amount, again.state) == (order.refund_id, MicroUsd(2_500_000), "settled")
    assert (await scene.seen(seen)).refunds == (again,)


async def test_of_several_who_ask_for_one_refund_at_once_none_makes_another(scene: GatewayScene) -> None:
    _, seen = await scene.paid()
    assert seen.payment_intent_id is not None
    order = RefundOrder(RefundId(uuid4()), seen.payment_intent_id, MicroUsd(2_500_000))
    # All of them look, and find none, before any of them asks.
    scene.stand_in.dashboard.fault("delay", count=3, method="GET", path="/v1/refunds", when="after", seconds=0.1)
    made = await asyncio.gather(*(scene.gateway.ensure_refund(order) for _ in range(3)))

    assert len({one.stripe_refund_id for one in made}) == 1
    assert len((await scene.seen(seen)).refunds) == 1


async def test_refunds_are_seen_pending_and_failed_and_those_of_the_dashboard_have_no_id_of_ours(
    scene: GatewayScene,
) -> None:
    _, seen = await scene.paid()
    dashboard = scene.stand_in.dashboard
    pending = dashboard.refund(seen.session_id, 100, "pending")
    failed = dashboard.refund(seen.session_id, 200)
    dashboard.fail_refund(failed["id"])

    refunds = {one.stripe_refund_id: one for one in (await scene.seen(seen)).refunds}
    assert (refunds[pending["id"]].state, refunds[pending["id"]].refund_id) == ("pending", None)
    assert (refunds[failed["id"]].state, refunds[failed["id"]].amount) == ("failed", MicroUsd(2_000_000))


async def test_more_than_was_paid_is_not_refunded(scene: GatewayScene) -> None:
    _, seen = await scene.paid()
    assert seen.payment_intent_id is not None
    with pytest.raises(PaymentsRefused):
        await scene.gateway.ensure_refund(RefundOrder(RefundId(uuid4()), seen.payment_intent_id, MicroUsd(10_010_000)))


async def test_a_dispute_is_seen_through_its_life(scene: GatewayScene) -> None:
    dashboard = scene.stand_in.dashboard
    states = []

    async def look(seen: SeenPayment) -> None:
        states.append([(one.state, one.amount) for one in (await scene.seen(seen)).disputes])

    _, seen = await scene.paid()
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


async def test_an_inquiry_that_ends_moves_nothing(scene: GatewayScene) -> None:
    _, seen = await scene.paid()
    dispute = scene.stand_in.dashboard.open_dispute(seen.session_id, inquiry=True)["id"]
    scene.stand_in.dashboard.close_inquiry(dispute)

    assert [one.state for one in (await scene.seen(seen)).disputes] == ["inquiry-closed"]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_what_may_pass_is_told_as_unavailable(scene: GatewayScene, status: int, quick: None) -> None:
    scene.stand_in.dashboard.fault("error", count=10, status=status)
    with pytest.raises(PaymentsUnavailable):
        await scene.gateway.ensure_checkout(scene.order())


async def test_a_call_that_fails_midway_is_repeated_and_done_once(scene: GatewayScene, quick: None) -> None:
    scene.stand_in.dashboard.fault("error", count=1, status=500, when="after")
    order = scene.order()
    opened = await scene.gateway.ensure_checkout(order)

    assert await scene.gateway.ensure_checkout(order) == opened


async def test_whoever_does_not_answer_is_waited_for_only_so_long(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALL_TIMEOUT_S", 0.05)
    scene.stand_in.dashboard.fault("delay", seconds=5)
    with pytest.raises(PaymentsUnavailable):
        await scene.gateway.find_payment("cs_any")


async def test_where_nothing_listens_it_is_unavailable(free_port: int, quick: None) -> None:
    gateway = StripeGateway("sk_test_x", [], public_url="http://a", api_base=f"http://127.0.0.1:{free_port}")
    with pytest.raises(PaymentsUnavailable):
        await gateway.answers()
    await gateway.close()


async def test_amounts_are_never_rounded(scene: GatewayScene) -> None:
    with pytest.raises(InvariantBroken):
        await scene.gateway.ensure_checkout(scene.order(amount=MicroUsd(10_000_001)))
