"""Prices over HTTP: the plans that can be bought."""

from uuid import UUID

import msgspec

from api.http.bridge import Answer, Call, Endpoint, Told, told
from api.http.rendering import Amount, amount_number
from domain.pricing.price_book import PRICES


class PlanOffered(msgspec.Struct, frozen=True):
    """A plan; sizes in MiB and GiB."""

    id: UUID
    name: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: Amount


async def list_plans(call: Call) -> Answer:
    """Tell every plan on offer, the cheapest first."""
    book = (await call.runtime.aggregates.load(PRICES)).of(PRICES)
    now = call.runtime.clock.now()
    return told(
        200,
        [
            PlanOffered(
                id=plan.id,
                name=plan.name,
                vcpu=plan.vcpu,
                memory_mb=plan.memory_mb,
                disk_gb=plan.disk_gb,
                price_hourly=amount_number(plan.in_force(now).price_hourly),
            )
            for plan in book.offered(now)
        ],
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/pricing",
        name="list_plans",
        tag="pricing",
        summary="What can be bought, and for how much",
        who="public",
        handle=list_plans,
        told=(
            Told(
                200,
                "The plans, the cheapest first.",
                list[PlanOffered],
                [
                    {
                        "id": "01937b1e-5c00-7000-8000-0000000000aa",
                        "name": "Nano",
                        "vcpu": 1,
                        "memory_mb": 512,
                        "disk_gb": 10,
                        "price_hourly": 0.0042,
                    }
                ],
            ),
        ),
    ),
)
