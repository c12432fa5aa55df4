"""Prices, for whoever asks: the plans that can be bought."""

import msgspec

from api.application.runtime import Runtime
from domain.money import MicroUsd
from domain.pricing.price_book import PRICES, Plan


class OfferedPlan(msgspec.Struct, frozen=True):
    """A plan on offer, at its price now."""

    plan: Plan
    price_hourly: MicroUsd


async def list_plans(runtime: Runtime) -> list[OfferedPlan]:
    """Return every plan on offer, the cheapest first."""
    book = (await runtime.aggregates.load(PRICES)).of(PRICES)
    now = runtime.clock.now()
    return [OfferedPlan(plan, plan.in_force(now).price_hourly) for plan in book.offered(now)]
