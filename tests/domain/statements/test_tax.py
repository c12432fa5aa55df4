"""Taxes are a part of what was charged, to the micro-dollar."""

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.money import MicroUsd
from domain.statements.tax import TaxLine, TaxRate, parse_tax_rates, tax_lines

VAT = TaxRate("VAT", 19_000)


def test_no_rate_is_no_tax() -> None:
    assert tax_lines(MicroUsd(1_000_000), ()) == ()
    assert parse_tax_rates("  ") == ()


def test_a_tax_is_rounded_half_up_to_the_micro_dollar() -> None:
    assert tax_lines(MicroUsd(119), (VAT,)) == (TaxLine("VAT", 19_000, MicroUsd(19)),)
    assert tax_lines(MicroUsd(1_000_000), (VAT,))[0].amount == 159_664  # 159,663.87
    assert tax_lines(MicroUsd(3), (TaxRate("TAX", 20_000),))[0].amount == 1  # 0.5
    assert tax_lines(MicroUsd(2), (TaxRate("TAX", 20_000),))[0].amount == 0  # 0.33


def test_taxes_on_one_price_do_not_tax_each_other() -> None:
    rates = parse_tax_rates("GST 5, QST 9.975")

    # 100 without taxes: 5 and 9.975 on top.
    assert [line.amount for line in tax_lines(MicroUsd(114_975_000), rates)] == [5_000_000, 9_975_000]


@for_all(st.integers(0, 10**15), st.integers(1, 99_999))
def test_a_charge_that_is_put_right_comes_to_no_tax(amount: int, thousandths: int) -> None:
    rates = (TaxRate("TAX", thousandths),)
    [charged], [undone] = tax_lines(MicroUsd(amount), rates), tax_lines(MicroUsd(-amount), rates)

    assert charged.amount + undone.amount == 0
    assert 0 <= charged.amount <= amount


def test_rates_are_read_as_people_write_them() -> None:
    assert parse_tax_rates("VAT 19") == (VAT,)
    assert parse_tax_rates("City tax 2.5 %,VAT 19%") == (TaxRate("City tax", 2_500), VAT)
    assert [rate.percent for rate in parse_tax_rates("A 19, B 2.5, C 9.975, D 0.001")] == [
        "19",
        "2.5",
        "9.975",
        "0.001",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "VAT", "19", "VAT 0", "VAT 100", "VAT 1.2345", "VAT -1", "VAT 1e1", "VAT 19, vat 7", "VAT 19,",
        "a:b 19", "a  b 19", "a-b 19", "A 1, B 1, C 1, D 1, E 1, F 1", "x" * 33 + " 19", "VAT ١٩",
    ],
)  # fmt: skip
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_tax_rates(text)
