"""Taxes that are included in prices: their rates, and how much of an amount they are."""

import re
from collections.abc import Sequence

import msgspec

from domain.errors import Invalid
from domain.money import MicroUsd

RATES_MAX = 5
THOUSANDTHS = 1_000
WHOLE = 100 * THOUSANDTHS
"""A hundred percent, in thousandths of a percent."""

# A name is a part of an account's name in the books, and has to be one in the journals of other programs too.
_RATE = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*(?: [A-Za-z0-9]+)*) (\d{1,2})(?:\.(\d{1,3}))?\s*%?\s*", re.ASCII)
_NAME_CHARACTERS_MAX = 32


class TaxRate(msgspec.Struct, frozen=True):
    """A tax that prices include."""

    name: str
    percent_thousandths: int
    """19 % are 19,000."""

    @property
    def percent(self) -> str:
        """The rate in percent, exact, with as many decimals (at most 3) as it needs."""
        whole, rest = divmod(self.percent_thousandths, THOUSANDTHS)
        return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


class TaxLine(msgspec.Struct, frozen=True):
    """How much of what was charged is one tax."""

    name: str
    percent_thousandths: int
    amount: MicroUsd

    @property
    def rate(self) -> TaxRate:
        """The tax, and its rate."""
        return TaxRate(self.name, self.percent_thousandths)


def parse_tax_rates(text: str) -> tuple[TaxRate, ...]:
    """Read rates such as ``VAT 19`` or ``GST 5, QST 9.975``; an empty text says that there are none. Raises Invalid."""
    if not text.strip():
        return ()
    rates = tuple(_rate(part) for part in text.split(","))
    if len({rate.name.casefold() for rate in rates}) < len(rates):
        raise Invalid(fields={"tax": "names a tax twice"})
    if len(rates) > RATES_MAX:
        raise Invalid(fields={"tax": f"must be at most {RATES_MAX} rates"})
    return rates


def tax_lines(amount: MicroUsd, rates: Sequence[TaxRate]) -> tuple[TaxLine, ...]:
    """Return what each tax is of an amount that includes all of them.

    A tax of rate r is amount·r / (100 + the sum of all rates), rounded to the micro-dollar, half of one away from
    zero: so that what is charged and put right again comes to no tax.
    """
    whole = WHOLE + sum(rate.percent_thousandths for rate in rates)
    return tuple(
        TaxLine(rate.name, rate.percent_thousandths, _half_away_from_zero(amount * rate.percent_thousandths, whole))
        for rate in rates
    )


def _half_away_from_zero(dividend: int, divisor: int) -> MicroUsd:
    rounded = (2 * abs(dividend) + divisor) // (2 * divisor)
    return MicroUsd(-rounded if dividend < 0 else rounded)


def _rate(text: str) -> TaxRate:
    found = _RATE.fullmatch(text)
    if found is None or len(found[1]) > _NAME_CHARACTERS_MAX:
        raise Invalid(fields={"tax": "must be names with percents, such as VAT 19 or GST 5, QST 9.975"})
    thousandths = int(found[2]) * THOUSANDTHS + int((found[3] or "").ljust(3, "0"))
    if not thousandths:
        raise Invalid(fields={"tax": "a rate must be above zero"})
    return TaxRate(found[1], thousandths)
