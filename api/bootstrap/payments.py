"""Bootstrap of payments: Stripe, or in development what stands in for it, made from settings."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec

from adapters.stripe.gateway import StripeGateway
from adapters.stripe_stand_in.application import StripeStandIn
from api.application.payments.dependencies import PaymentsContext
from api.application.payments.webhooks import WEBHOOK_PATH
from api.application.runtime import StandIn
from api.application.settings import Settings
from api.application.worker_context import WorkerContext
from domain.payments.ports import PaymentsUnavailable
from domain.ports import Ids
from projections.payments import TabledPayments
from projections.reading import ReadModels

STAND_IN_PREFIX = "/development/stripe"
STAND_IN_KEY = "sk_test_stand_in"
_STATE_FILE = "stripe-stand-in.sqlite"
_NO_KEY = "sk_unset"
"""Whoever works without a key, such as a command that gives a credit, is refused by Stripe if it ever asks."""


class OpenedPayments(msgspec.Struct, frozen=True, eq=False):
    """What payments are dealt with."""

    payments: PaymentsContext
    stand_in: StandIn | None
    can_ask: bool
    """Whether there is anybody who answers: a command that was given no key asks Stripe nothing."""


def has_stand_in(settings: Settings) -> bool:
    """Return whether something stands in for Stripe in the service itself."""
    return settings.development and settings.stripe_secret_key is None and settings.stripe_api_base is None


@asynccontextmanager
async def opened_payments(
    settings: Settings, worker: WorkerContext, ids: Ids, read_models: ReadModels
) -> AsyncIterator[OpenedPayments]:
    """Give what payments are dealt with."""
    async with _opened_gateway(settings) as (gateway, stand_in):
        payments = PaymentsContext(
            store=worker.store,
            aggregates=worker.aggregates,
            clock=worker.clock,
            ids=ids,
            gateway=gateway,
            leases=worker.leases,
            open_payments=TabledPayments(read_models, worker.store),
        )
        yield OpenedPayments(payments, stand_in, can_ask=stand_in is not None or settings.stripe_secret_key is not None)


@asynccontextmanager
async def _opened_gateway(settings: Settings) -> AsyncIterator[tuple[StripeGateway, StandIn | None]]:
    async with AsyncExitStack() as stack:
        if not has_stand_in(settings):
            gateway = StripeGateway(
                settings.stripe_secret_key or _NO_KEY,
                settings.webhook_secrets,
                public_url=settings.url,
                api_base=settings.stripe_api_base,
            )
            stack.push_async_callback(gateway.close)
            yield gateway, None
            return
        stand_in = _stand_in(settings)
        stack.callback(stand_in.close)
        # In this process itself, so that it needs no port, and whoever only works has it too.
        gateway = StripeGateway(
            STAND_IN_KEY,
            [stand_in.webhook_secret],
            public_url=settings.url,
            api_base=stand_in.public_url,
            transport=httpx.ASGITransport(app=stand_in),
        )
        stack.push_async_callback(gateway.close)

        async def deliver() -> None:
            await stand_in.start()
            try:
                await asyncio.Event().wait()
            finally:
                await stand_in.stop()

        yield gateway, StandIn(STAND_IN_PREFIX, stand_in, deliver)


async def stripe_answers(settings: Settings) -> str | None:
    """Return None if Stripe answers to the key that is set, or what keeps it from that."""
    gateway = StripeGateway(
        settings.stripe_secret_key or _NO_KEY, (), public_url=settings.url, api_base=settings.stripe_api_base
    )
    try:
        await gateway.answers()
    except PaymentsUnavailable as problem:
        return str(problem)
    finally:
        await gateway.close()
    return None


def _stand_in(settings: Settings) -> StripeStandIn:
    file = settings.home_folder / _STATE_FILE
    file.touch(mode=0o600)
    return StripeStandIn(
        file,
        public_url=settings.url + STAND_IN_PREFIX,
        webhook_url=settings.local_url + WEBHOOK_PATH,
        webhook_secret=next(iter(settings.webhook_secrets), None),
        api_key=STAND_IN_KEY,
    )
