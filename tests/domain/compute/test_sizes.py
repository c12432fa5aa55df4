"""A VPS has a host name for a name and the sizes of its plan."""

from uuid import UUID

import pytest

from domain.compute.sizes import choose_plan, wrong_name
from domain.errors import Invalid
from domain.ids import PlanId
from domain.money import MicroUsd
from domain.pricing.price_book import Plan, Price, PriceBook
from tests.domain.compute.lives import at


def plan(number: int, vcpu: int, memory_mb: int, price: int, *, retired: bool = False) -> Plan:
    prices = (Price(1, MicroUsd(price), at(0)),)
    return Plan(PlanId(UUID(int=number)), f"plan-{number}", vcpu, memory_mb, 10, prices, retired)


SMALL, LARGE, OLD = plan(1, 1, 256, 4_200), plan(2, 2, 1024, 16_800), plan(3, 8, 8192, 100, retired=True)
BOOK = PriceBook({one.id: one for one in (SMALL, LARGE, OLD)})


def chosen(plan_id: PlanId | None = None, **sizes: int) -> Plan:
    asked = {"vcpu": None, "memory_mb": None, "disk_gb": None, **sizes}
    return choose_plan(BOOK, plan_id, now=at(1), **asked)


@pytest.mark.parametrize("name", ["web", "a", "web-1", "1web", "a" * 63])
def test_a_host_name_label_is_a_name(name: str) -> None:
    assert wrong_name(name) is None


@pytest.mark.parametrize("name", ["", "-web", "web-", "Web", "web.example", "we b", "wéb", "a" * 64, "web\n", "web\0"])
def test_anything_else_is_no_name(name: str) -> None:
    assert wrong_name(name) is not None


def test_without_a_plan_the_cheapest_that_covers_is_chosen() -> None:
    assert chosen() == SMALL
    assert chosen(memory_mb=257) == LARGE


def test_sizes_that_no_plan_covers_are_refused_by_name() -> None:
    with pytest.raises(Invalid) as refusal:
        chosen(vcpu=4)
    assert refusal.value.facts["fields"] == {"vcpu": "no plan covers this"}


def test_a_plan_covers_what_is_asked_for_or_the_fields_are_refused() -> None:
    assert chosen(SMALL.id, memory_mb=128) == SMALL
    with pytest.raises(Invalid) as refusal:
        chosen(SMALL.id, vcpu=2, disk_gb=10)
    assert refusal.value.facts["fields"] == {"vcpu": "the plan has 1"}


@pytest.mark.parametrize("plan_id", [OLD.id, PlanId(UUID(int=9))])
def test_a_plan_that_is_not_offered_cannot_be_had(plan_id: PlanId) -> None:
    with pytest.raises(Invalid) as refusal:
        chosen(plan_id)
    assert refusal.value.facts["fields"] == {"plan_id": "no such plan"}


def test_nothing_has_a_size_below_one() -> None:
    with pytest.raises(Invalid) as refusal:
        chosen(vcpu=0, memory_mb=-1)
    assert set(refusal.value.facts["fields"]) == {"vcpu", "memory_mb"}  # type: ignore[arg-type]
