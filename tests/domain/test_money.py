"""Money adds up to the micro-dollar, and is never shown as better than it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvariantBroken
from domain.money import (
    MicroUsd,
    ceil_to_four_decimals,
    charge_for_minutes,
    exact_usd,
    floor_to_four_decimals,
    parse_usd,
)

prices = st.integers(0, 10**10).map(MicroUsd)
amounts = st.integers(-(10**15), 10**15).map(MicroUsd)
minutes = st.integers(1, 10**7)


def test_a_minute_of_a_plan_at_42_hundredths_of_a_cent_an_hour_costs_70_micro_dollars() -> None:
    assert [charge_for_minutes(MicroUsd(4200), n, n) for n in (1, 2, 60)] == [70, 70, 70]


def test_where_an_hour_does_not_divide_some_minutes_cost_one_more() -> None:
    assert [charge_for_minutes(MicroUsd(100), n, n) for n in range(1, 7)] == [1, 2, 2, 1, 2, 2]


@given(price=prices, first=minutes)
def test_any_sixty_minutes_in_a_row_cost_exactly_the_hourly_price(price: MicroUsd, first: int) -> None:
    assert charge_for_minutes(price, first, first + 59) == price


@given(price=prices, first=minutes, lengths=st.tuples(st.integers(1, 500), st.integers(1, 500)))
def test_a_span_costs_what_its_parts_cost(price: MicroUsd, first: int, lengths: tuple[int, int]) -> None:
    middle, end = first + lengths[0], first + sum(lengths)

    parts = charge_for_minutes(price, first, middle - 1) + charge_for_minutes(price, middle, end - 1)

    assert charge_for_minutes(price, first, end - 1) == parts


@given(price=prices, n=minutes)
def test_no_minute_costs_more_than_a_sixtieth_rounded_up(price: MicroUsd, n: int) -> None:
    assert price // 60 <= charge_for_minutes(price, n, n) <= -(-price // 60)


@pytest.mark.parametrize(("n_from", "n_to"), [(0, 1), (2, 1), (-1, -1)])
def test_minutes_are_counted_from_one(n_from: int, n_to: int) -> None:
    with pytest.raises(InvariantBroken, match="counted from 1"):
        charge_for_minutes(MicroUsd(4200), n_from, n_to)


@pytest.mark.parametrize(
    ("amount", "floored", "ceiled", "exact"),
    [
        (10_500_000, "10.5000", "10.5000", "10.5"),
        (10_499_999, "10.4999", "10.5000", "10.499999"),
        (0, "0.0000", "0.0000", "0"),
        (70, "0.0000", "0.0001", "0.00007"),
        (-70, "-0.0001", "0.0000", "-0.00007"),
        (-10_000_001, "-10.0001", "-10.0000", "-10.000001"),
        (4200, "0.0042", "0.0042", "0.0042"),
    ],
)
def test_a_balance_is_rounded_down_and_what_is_required_up(amount: int, floored: str, ceiled: str, exact: str) -> None:
    told = (
        floor_to_four_decimals(MicroUsd(amount)),
        ceil_to_four_decimals(MicroUsd(amount)),
        exact_usd(MicroUsd(amount)),
    )

    assert told == (floored, ceiled, exact)


@given(amounts)
def test_an_amount_written_exactly_is_read_back_as_it_was(amount: MicroUsd) -> None:
    assert parse_usd(exact_usd(amount)) == amount


@given(amounts)
def test_what_is_shown_is_within_a_hundredth_of_a_cent_on_the_safe_side(amount: MicroUsd) -> None:
    shown_down, shown_up = parse_usd(floor_to_four_decimals(amount)), parse_usd(ceil_to_four_decimals(amount))

    assert amount - 100 < shown_down <= amount <= shown_up < amount + 100


@pytest.mark.parametrize(
    ("text", "micros"), [("12", 12_000_000), ("0.05", 50_000), ("-3.5", -3_500_000), ("+1", 1_000_000)]
)
def test_an_amount_is_read_as_people_write_it(text: str, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        ".5",
        "5.",
        "1e3",
        "1,5",
        "1_000",
        "0.0000001",
        " 1",
        "1 ",
        "--1",
        "NaN",
        "inf",
        "٣",
        "1.²",
        "1" * 13,
    ],
)
def test_what_is_no_plain_amount_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        parse_usd(text)
