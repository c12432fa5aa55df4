"""What a new VPS is made as: its name and the plan that covers what was asked for."""

import re

from domain.errors import Invalid
from domain.ids import PlanId
from domain.pricing.price_book import Plan, PlanNotFound, PriceBook
from domain.time import Instant

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""A host name label as RFC 1123 has it, in lower case, as guests keep it."""


def wrong_name(name: str) -> str | None:
    """Return why a name cannot be a VPS's, None where it can."""
    if _LABEL.fullmatch(name):
        return None
    return "must be 1 to 63 of a-z, 0-9 and hyphens, with no hyphen at either end (RFC 1123)"


def choose_plan(
    book: PriceBook,
    plan_id: PlanId | None,
    *,
    vcpu: int | None,
    memory_mb: int | None,
    disk_gb: int | None,
    now: Instant,
) -> Plan:
    """Return the plan asked for, or the cheapest that covers these sizes. A plan sells its own sizes.

    Sizes in MiB and GiB. Raises Invalid, naming the fields that no plan, or not this one, can satisfy.
    """
    sizes = {"vcpu": vcpu, "memory_mb": memory_mb, "disk_gb": disk_gb}
    too_small = {name: "must be at least 1" for name, size in sizes.items() if size is not None and size < 1}
    if too_small:
        raise Invalid(fields=too_small)
    if plan_id is None:
        try:
            return book.cheapest_covering(vcpu or 1, memory_mb or 1, disk_gb or 1, now)
        except PlanNotFound:
            asked = [name for name, size in sizes.items() if size is not None] or ["plan_id"]
            raise Invalid(fields=dict.fromkeys(asked, "no plan covers this")) from None
    try:
        plan = book.offered_plan(plan_id)
    except PlanNotFound:
        raise Invalid(fields={"plan_id": "no such plan"}) from None
    beyond = {
        name: f"the plan has {getattr(plan, name)}"
        for name, size in sizes.items()
        if size is not None and size > getattr(plan, name)
    }
    if beyond:
        raise Invalid(fields=beyond)
    return plan
