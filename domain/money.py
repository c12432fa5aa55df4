"""Money: whole micro-USD, the one rounding rule for minutes, and how amounts are written down."""

from typing import NewType

from domain.errors import InvariantBroken

MicroUsd = NewType("MicroUsd", int)
"""A millionth of a US dollar. The only unit of money in events, read models and signatures."""

MICROS_PER_USD = 1_000_000
MINUTES_PER_HOUR = 60
ZERO = MicroUsd(0)

_MICROS_PER_TEN_THOUSANDTH = 100


def charge_for_minutes(price_hourly: MicroUsd, n_from: int, n_to: int) -> MicroUsd:
    """Return what minutes ``n_from`` to ``n_to`` (both counted, the first is 1) of a VPS cost together.

    The n-th minute costs ``floor(r·n/60) − floor(r·(n−1)/60)`` for an hourly price ``r``, so any sixty
    minutes in a row at one price cost exactly ``r``: nothing is lost or made by rounding.
    """
    if not 1 <= n_from <= n_to:
        raise InvariantBroken("minutes are counted from 1")
    return MicroUsd(price_hourly * n_to // MINUTES_PER_HOUR - price_hourly * (n_from - 1) // MINUTES_PER_HOUR)


def floor_to_four_decimals(amount: MicroUsd) -> str:
    """Write a balance in USD with exactly 4 decimals, rounded down (towards minus infinity)."""
    return _four_decimals(amount // _MICROS_PER_TEN_THOUSANDTH)


def ceil_to_four_decimals(amount: MicroUsd) -> str:
    """Write a required sum in USD with exactly 4 decimals, rounded up: never told as less than it is."""
    return _four_decimals(-(-amount // _MICROS_PER_TEN_THOUSANDTH))


def exact_usd(amount: MicroUsd) -> str:
    """Write an amount in USD exactly, with as many decimals (at most 6) as it needs."""
    sign = "-" if amount < 0 else ""
    dollars, micros = divmod(abs(amount), MICROS_PER_USD)
    if not micros:
        return f"{sign}{dollars}"
    return f"{sign}{dollars}.{micros:06d}".rstrip("0")


def parse_usd(text: str) -> MicroUsd:
    """Read an amount in USD with at most 6 decimals, such as ``12``, ``0.05`` or ``-3.5``.

    Raises ValueError for anything else: exponents, more decimals, separators, no digits.
    """
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    dollars, point, decimals = unsigned.partition(".")
    digits_only = dollars.isascii() and dollars.isdigit() and ((decimals.isascii() and decimals.isdigit()) or not point)
    if not digits_only or len(decimals) > 6 or len(dollars) > 12:
        raise ValueError(f"not an amount in USD with at most 6 decimals: {text!r}")
    micros = int(dollars) * MICROS_PER_USD + int(decimals.ljust(6, "0") or "0")
    return MicroUsd(-micros if text.startswith("-") else micros)


def _four_decimals(ten_thousandths: int) -> str:
    sign = "-" if ten_thousandths < 0 else ""
    dollars, rest = divmod(abs(ten_thousandths), 10_000)
    return f"{sign}{dollars}.{rest:04d}"
