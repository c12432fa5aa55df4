"""What is recorded of a payment that is not there, or was never received, moves no money at Stripe."""

import pytest

from api.application.payments.checkouts import ensure_opened
from api.application.payments.dependencies import PaymentMissing
from api.application.payments.refunding import ensure_refunded
from domain.deciding import recorded_in
from domain.ids import PaymentId, RefundId
from domain.payments.events import RefundRequested
from domain.payments.payment import payment_ref
from tests.api.payment_world import IDS, TEN_USD, PaymentWorld

pytestmark = pytest.mark.anyio


async def test_no_checkout_is_opened_for_a_payment_that_nobody_asked_for(world: PaymentWorld) -> None:
    payments = await world.founded()

    with pytest.raises(PaymentMissing):
        await ensure_opened(payments, PaymentId(IDS.new()))


async def test_nothing_goes_back_of_a_payment_that_is_not_there(world: PaymentWorld) -> None:
    payments = await world.founded()

    with pytest.raises(PaymentMissing):
        await ensure_refunded(payments, PaymentId(IDS.new()), RefundId(IDS.new()))
    assert world.refunds_at_stripe() == []


async def test_nothing_goes_back_of_a_payment_that_was_never_received(world: PaymentWorld) -> None:
    payments = await world.founded()
    payment_id, refund_id = await world.ask(payments), RefundId(IDS.new())
    ref = payment_ref(payment_id)
    requested = RefundRequested(world.account_id, payment_id, refund_id, TEN_USD, "requested")
    await payments.aggregates.execute([ref], lambda _loaded, _now: recorded_in(ref.stream, requested), world.context())

    with pytest.raises(PaymentMissing):
        await ensure_refunded(payments, payment_id, refund_id)
    assert world.refunds_at_stripe() == []
