"""The price book: every plan with its prices, and which of them is in force at an instant."""

from collections.abc import Iterator

import msgspec

from domain.deciding import AggregateRef, Fold
from domain.errors import Invalid, InvariantBroken, NotFound, Refusal
from domain.events import Event
from domain.ids import PRICING_STREAM, PlanId
from domain.money import MicroUsd
from domain.pricing.commands import DefinePlan, RepricePlan, RetirePlan
from domain.pricing.events import PlanDefined, PlanRepriced, PlanRetired
from domain.time import MINUTE, Instant

REPRICING_NOTICE = MINUTE
"""How far ahead a new price is recorded at least, so that no minute is being priced while it changes."""

PRICE_HOURLY_MAX = MicroUsd(1_000_000_000)
NAME_LENGTH_MAX = 64
VCPU_MAX = 1024
MEMORY_MB_MAX = 16 * 1024 * 1024
DISK_GB_MAX = 1024 * 1024


class PlanNotFound(NotFound):
    """There is no such plan, or it is no longer offered."""

    code = "plan_not_found"
    sentence = "plan not found"


class PlanNameTaken(Refusal):
    """Another plan, retired ones included, has this name."""

    code = "plan_name_taken"
    sentence = "plan name is taken"


class RepricingTooSoon(Refusal):
    """A price cannot change for the past, nor within the notice; ``earliest`` is in microseconds since 1970."""

    code = "repricing_too_soon"
    sentence = "a new price needs a minute's notice"


class Price(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One version of a plan's price, in micro-USD an hour, from ``effective_at`` until the next one."""

    version: int
    price_hourly: MicroUsd
    effective_at: Instant


class Plan(msgspec.Struct, frozen=True):
    """What a VPS can be bought as. Sizes in MiB and GiB."""

    id: PlanId
    name: str
    vcpu: int
    memory_mb: int
    disk_gb: int
    prices: tuple[Price, ...]
    """Those that were or will be in force, each from its instant on. Versions rise, and so do instants but for the
    first price's, which is in force before all others, even where the clock has stepped back since the plan was made.
    """
    retired: bool = False

    def in_force(self, at: Instant) -> Price:
        """Return the price of a minute that begins at ``at``: the last of those effective by then, or the first."""
        for price in reversed(self.prices):
            if price.effective_at <= at:
                return price
        return self.prices[0]

    def covers(self, vcpu: int, memory_mb: int, disk_gb: int) -> bool:
        """Tell whether a VPS of these resources fits into this plan."""
        return self.vcpu >= vcpu and self.memory_mb >= memory_mb and self.disk_gb >= disk_gb


class PriceBook(msgspec.Struct, frozen=True):
    """All plans that there ever were."""

    plans: dict[PlanId, Plan] = {}

    def plan(self, plan_id: PlanId) -> Plan:
        """Return a plan, retired or not. Raises PlanNotFound."""
        plan = self.plans.get(plan_id)
        if plan is None:
            raise PlanNotFound
        return plan

    def offered_plan(self, plan_id: PlanId) -> Plan:
        """Return a plan that a new VPS can have. Raises PlanNotFound."""
        plan = self.plan(plan_id)
        if plan.retired:
            raise PlanNotFound
        return plan

    def in_force(self, plan_id: PlanId, at: Instant) -> Price:
        """Return the version and price of a plan for a minute that begins at ``at``. Raises PlanNotFound."""
        return self.plan(plan_id).in_force(at)

    def offered(self, at: Instant) -> tuple[Plan, ...]:
        """Return the plans that can be bought, the cheapest first, the smaller of two at one price."""
        plans = [plan for plan in self.plans.values() if not plan.retired]
        return tuple(sorted(plans, key=lambda p: (p.in_force(at).price_hourly, p.vcpu, p.memory_mb, p.disk_gb, p.name)))

    def cheapest_covering(self, vcpu: int, memory_mb: int, disk_gb: int, at: Instant) -> Plan:
        """Return the cheapest plan on offer into which these resources fit. Raises PlanNotFound."""
        for plan in self.offered(at):
            if plan.covers(vcpu, memory_mb, disk_gb):
                return plan
        raise PlanNotFound


def evolve(book: PriceBook, event: Event) -> PriceBook:
    """Return the price book after an event; events of other contexts change nothing."""
    match event:
        case PlanDefined():
            first = Price(version=1, price_hourly=event.price_hourly, effective_at=event.effective_at)
            plan = Plan(
                id=event.plan_id,
                name=event.name,
                vcpu=event.vcpu,
                memory_mb=event.memory_mb,
                disk_gb=event.disk_gb,
                prices=(first,),
            )
        case PlanRepriced():
            plan = _with_price(book.plans[event.plan_id], event)
        case PlanRetired():
            plan = msgspec.structs.replace(book.plans[event.plan_id], retired=True)
        case _:
            return book
    return PriceBook(plans={**book.plans, plan.id: plan})


FOLD: Fold[PriceBook] = Fold(initial=PriceBook(), evolve=evolve, snapshot=PriceBook, snapshot_version=2)
PRICES: AggregateRef[PriceBook] = AggregateRef(PRICING_STREAM, FOLD)


def define_plan(book: PriceBook, command: DefinePlan, now: Instant) -> tuple[Event, ...]:
    """Offer a plan from now on. Raises Invalid or PlanNameTaken."""
    wrong = dict(_wrong_fields(command))
    if wrong:
        raise Invalid(fields=wrong)
    if any(plan.name == command.name for plan in book.plans.values()):
        raise PlanNameTaken(name=command.name)
    if command.plan_id in book.plans:
        raise InvariantBroken("the id of a plan is made anew for each")
    return (
        PlanDefined(
            plan_id=command.plan_id,
            name=command.name,
            vcpu=command.vcpu,
            memory_mb=command.memory_mb,
            disk_gb=command.disk_gb,
            price_hourly=command.price_hourly,
            effective_at=now,
        ),
    )


def reprice_plan(book: PriceBook, command: RepricePlan, now: Instant) -> tuple[Event, ...]:
    """Change a plan's price ahead. Raises PlanNotFound, Invalid or RepricingTooSoon.

    A change made later stands in for those that were to take effect after it.
    """
    plan = book.plan(command.plan_id)
    if not 0 <= command.price_hourly <= PRICE_HOURLY_MAX:
        raise Invalid(fields={"price_hourly": _PRICE_RANGE})
    earliest = Instant(now + REPRICING_NOTICE)
    effective_at = earliest if command.effective_at is None else command.effective_at
    if effective_at < earliest:
        raise RepricingTooSoon(earliest=earliest)
    return (
        PlanRepriced(
            plan_id=plan.id,
            version=plan.prices[-1].version + 1,
            price_hourly=command.price_hourly,
            effective_at=effective_at,
        ),
    )


def retire_plan(book: PriceBook, command: RetirePlan) -> tuple[Event, ...]:
    """Offer a plan no longer; asked twice, true once. Raises PlanNotFound."""
    if book.plan(command.plan_id).retired:
        return ()
    return (PlanRetired(plan_id=command.plan_id),)


_PRICE_RANGE = f"must be from 0 to {PRICE_HOURLY_MAX} micro-USD"


def _with_price(plan: Plan, event: PlanRepriced) -> Plan:
    # The first stays: else a minute that began before all of them would get a price of which nobody had notice.
    first, *later = plan.prices
    kept = (price for price in later if price.effective_at < event.effective_at)
    price = Price(version=event.version, price_hourly=event.price_hourly, effective_at=event.effective_at)
    return msgspec.structs.replace(plan, prices=(first, *kept, price))


def _wrong_fields(command: DefinePlan) -> Iterator[tuple[str, str]]:
    if not 1 <= len(command.name) <= NAME_LENGTH_MAX or not command.name.isprintable():
        yield "name", f"must be 1 to {NAME_LENGTH_MAX} printable characters"
    for field, size, size_max in (
        ("vcpu", command.vcpu, VCPU_MAX),
        ("memory_mb", command.memory_mb, MEMORY_MB_MAX),
        ("disk_gb", command.disk_gb, DISK_GB_MAX),
    ):
        if not 1 <= size <= size_max:
            yield field, f"must be from 1 to {size_max}"
    if not 0 <= command.price_hourly <= PRICE_HOURLY_MAX:
        yield "price_hourly", _PRICE_RANGE
