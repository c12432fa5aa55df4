"""Plans: who can buy what, and which price is in force when."""

from functools import reduce
from uuid import UUID

import pytest

from domain.errors import Invalid
from domain.events import Event
from domain.ids import PlanId
from domain.money import MicroUsd
from domain.pricing.commands import DefinePlan, RepricePlan, RetirePlan
from domain.pricing.price_book import (
    FOLD,
    REPRICING_NOTICE,
    PlanNameTaken,
    PlanNotFound,
    PriceBook,
    RepricingTooSoon,
    define_plan,
    reprice_plan,
    retire_plan,
)
from domain.time import HOUR, MINUTE, Instant

SMALL, LARGE = PlanId(UUID(int=1)), PlanId(UUID(int=2))
NOW = Instant(1_700_000_000_000_000)


def after(book: PriceBook, *events: Event) -> PriceBook:
    return reduce(FOLD.evolve, events, book)


def small(name: str = "small", price: int = 4_200) -> DefinePlan:
    return DefinePlan(SMALL, name, vcpu=1, memory_mb=512, disk_gb=10, price_hourly=MicroUsd(price))


def large(name: str = "large", price: int = 16_000) -> DefinePlan:
    return DefinePlan(LARGE, name, vcpu=4, memory_mb=8_192, disk_gb=80, price_hourly=MicroUsd(price))


BOOK = after(FOLD.initial, *define_plan(FOLD.initial, small(), NOW), *define_plan(FOLD.initial, large(), NOW))


def repriced(book: PriceBook, price: int, at: int) -> PriceBook:
    return after(book, *reprice_plan(book, RepricePlan(SMALL, MicroUsd(price), Instant(at)), NOW))


def test_a_new_price_is_in_force_from_its_instant_on() -> None:
    book = repriced(BOOK, 5_000, NOW + HOUR)

    before, then = book.in_force(SMALL, Instant(NOW + HOUR - 1)), book.in_force(SMALL, Instant(NOW + HOUR))

    assert (before.version, before.price_hourly) == (1, 4_200)
    assert (then.version, then.price_hourly) == (2, 5_000)


def test_a_change_made_later_stands_in_for_those_that_were_to_come_after_it() -> None:
    book = repriced(repriced(BOOK, 5_000, NOW + 10 * HOUR), 4_000, NOW + HOUR)

    price = book.in_force(SMALL, Instant(NOW + 20 * HOUR))

    assert (price.version, price.price_hourly) == (3, 4_000)


def test_a_new_price_takes_effect_after_a_minutes_notice_if_nothing_else_is_said() -> None:
    book = after(BOOK, *reprice_plan(BOOK, RepricePlan(SMALL, MicroUsd(1)), NOW))

    assert book.in_force(SMALL, Instant(NOW + REPRICING_NOTICE - 1)).version == 1
    assert book.in_force(SMALL, Instant(NOW + REPRICING_NOTICE)).version == 2


def test_the_past_keeps_its_prices() -> None:
    with pytest.raises(RepricingTooSoon) as refused:
        repriced(BOOK, 5_000, NOW + REPRICING_NOTICE - 1)

    assert refused.value.facts == {"earliest": NOW + REPRICING_NOTICE}


@pytest.mark.parametrize("later", [(), (NOW - 30 * MINUTE,), (NOW + HOUR,), (NOW - 50 * MINUTE, NOW + HOUR)])
def test_no_price_is_in_force_before_its_instant_though_the_clock_stepped_back(later: tuple[int, ...]) -> None:
    """The plan was made by a clock that was ahead, and is repriced by one that was set right."""
    stepped_back, first = Instant(NOW - HOUR), NOW - HOUR + REPRICING_NOTICE
    book = BOOK
    for price, at in enumerate((first, *later), 5_000):
        book = after(book, *reprice_plan(book, RepricePlan(SMALL, MicroUsd(price), Instant(at)), stepped_back))

    assert book.in_force(SMALL, Instant(first - 1)).price_hourly == 4_200
    for price, at in enumerate((first, *later), 5_000):
        assert book.in_force(SMALL, Instant(at)).price_hourly == price
    assert book.in_force(SMALL, Instant(NOW + 2 * HOUR)).price_hourly == 5_000 + len(later)


def test_what_was_asked_for_is_covered_by_the_cheapest_plan() -> None:
    assert BOOK.cheapest_covering(1, 512, 10, NOW).id == SMALL
    assert BOOK.cheapest_covering(1, 513, 10, NOW).id == LARGE


def test_what_no_plan_covers_has_none() -> None:
    with pytest.raises(PlanNotFound):
        BOOK.cheapest_covering(64, 512, 10, NOW)


def test_a_retired_plan_is_offered_no_longer_and_keeps_its_price() -> None:
    book = after(BOOK, *retire_plan(BOOK, RetirePlan(SMALL)))

    assert book.cheapest_covering(1, 512, 10, NOW).id == LARGE
    assert book.in_force(SMALL, NOW).price_hourly == 4_200
    with pytest.raises(PlanNotFound):
        book.offered_plan(SMALL)


def test_retiring_twice_is_retiring_once() -> None:
    book = after(BOOK, *retire_plan(BOOK, RetirePlan(SMALL)))

    assert retire_plan(book, RetirePlan(SMALL)) == ()


def test_a_plan_that_never_was_cannot_be_repriced_or_retired() -> None:
    unknown = PlanId(UUID(int=9))

    with pytest.raises(PlanNotFound):
        reprice_plan(BOOK, RepricePlan(unknown, MicroUsd(1)), NOW)
    with pytest.raises(PlanNotFound):
        retire_plan(BOOK, RetirePlan(unknown))


def test_a_name_is_one_plans_own_even_once_it_is_retired() -> None:
    book = after(BOOK, *retire_plan(BOOK, RetirePlan(SMALL)))

    with pytest.raises(PlanNameTaken):
        define_plan(book, large(name="small"), NOW)


@pytest.mark.parametrize("price", [-1, 10**10])
def test_a_price_that_cannot_be_meant_is_refused(price: int) -> None:
    with pytest.raises(Invalid):
        define_plan(FOLD.initial, small(price=price), NOW)
    with pytest.raises(Invalid):
        reprice_plan(BOOK, RepricePlan(SMALL, MicroUsd(price)), NOW)


def test_every_field_that_cannot_be_meant_is_told() -> None:
    command = DefinePlan(SMALL, "", vcpu=0, memory_mb=0, disk_gb=0, price_hourly=MicroUsd(-1))

    with pytest.raises(Invalid) as refused:
        define_plan(FOLD.initial, command, NOW)

    fields = refused.value.facts["fields"]
    assert isinstance(fields, dict)
    assert set(fields) == {"name", "vcpu", "memory_mb", "disk_gb", "price_hourly"}
