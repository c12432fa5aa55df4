"""Gateways to Stripe that are held to their port, with what a test does at Stripe behind their backs."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import IN_MEMORY, StripeStandIn
from domain.ids import AccountId, PaymentId
from domain.money import MicroUsd
from domain.payments.ports import (
    CheckoutOrder,
    OpenedCheckout,
    SeenPayment,
)
from domain.time import HOUR, Instant, seconds

TEN_USD = MicroUsd(10_000_000)
START_S = 1_790_000_000


class GatewayScene(msgspec.Struct, eq=False):
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


def made(stand_in: StripeStandIn, clock: list[int], **more: Any) -> GatewayScene:
    transport = httpx.ASGITransport(app=stand_in)
    gateway = StripeGateway(
        "sk_test_x",
        [stand_in.webhook_secret],
        public_url="http://litevps.test",
        api_base=stand_in.public_url,
        transport=transport,
        **more,
    )
    return GatewayScene(gateway, stand_in, clock)


@pytest.fixture
async def scene() -> AsyncIterator[GatewayScene]:
    clock = [START_S]
    stand_in = StripeStandIn(IN_MEMORY, public_url="http://stripe.test/pretend", clock=lambda: clock[0])
    scene = made(stand_in, clock)
    yield scene
    await scene.gateway.close()
    stand_in.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client's own retries come at once."""
    monkeypatch.setattr("stripe.HTTPXClient.INITIAL_DELAY", 0.001)
    monkeypatch.setattr("stripe.HTTPXClient.MAX_DELAY", 0.001)
