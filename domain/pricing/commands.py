"""What operators ask of plans and prices."""

import msgspec

from domain.ids import PlanId
from domain.money import MicroUsd
from domain.time import Instant


class DefinePlan(msgspec.Struct, frozen=True):
    """Offer a new plan; sizes in MiB and GiB."""

    plan_id: PlanId
    name: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: MicroUsd


class RepricePlan(msgspec.Struct, frozen=True):
    """Have minutes of a plan that begin at ``effective_at`` or later cost a new price; None: soon."""

    plan_id: PlanId
    price_hourly: MicroUsd
    effective_at: Instant | None = None


class RetirePlan(msgspec.Struct, frozen=True):
    """Offer a plan no longer."""

    plan_id: PlanId
