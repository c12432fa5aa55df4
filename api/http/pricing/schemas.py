"""What requests about prices tell."""

from uuid import UUID

import msgspec

from api.application.pricing import OfferedPlan
from api.http.rendering import Amount, amount_number

EXAMPLE = {
    "id": "01937b1e-5c00-7000-8000-0000000000aa",
    "name": "Nano",
    "vcpu": 1,
    "memory_mb": 512,
    "disk_gb": 10,
    "price_hourly": 0.0042,
}


class PlanResponse(msgspec.Struct, frozen=True):
    """A plan; sizes in MiB and GiB."""

    id: UUID
    name: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: Amount

    @classmethod
    def of(cls, offered: OfferedPlan) -> "PlanResponse":
        """Return a plan as it is told."""
        plan = offered.plan
        return cls(
            id=plan.id,
            name=plan.name,
            vcpu=plan.vcpu,
            memory_mb=plan.memory_mb,
            disk_gb=plan.disk_gb,
            price_hourly=amount_number(offered.price_hourly),
        )
