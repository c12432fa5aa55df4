"""What is recorded of plans and prices."""

from domain.events import Event
from domain.ids import PlanId
from domain.money import MicroUsd
from domain.time import Instant


class PlanDefined(Event, frozen=True, tag="pricing.plan-defined.v1"):
    """A plan can be bought. Versions of a plan's price count from 1."""

    plan_id: PlanId
    name: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: MicroUsd
    effective_at: Instant


class PlanRepriced(Event, frozen=True, tag="pricing.plan-repriced.v1"):
    """From ``effective_at`` on, minutes of this plan cost the new price."""

    plan_id: PlanId
    version: int
    price_hourly: MicroUsd
    effective_at: Instant


class PlanRetired(Event, frozen=True, tag="pricing.plan-retired.v1"):
    """No new VPS can have this plan; those that have it keep it."""

    plan_id: PlanId
