"""How money, times and ids are written in JSON, and read from requests."""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from domain.errors import Invalid
from domain.money import ZERO, MicroUsd, ceil_to_four_decimals, exact_usd, floor_to_four_decimals
from domain.time import Instant, from_datetime, to_rfc3339

Balance = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="USD with exactly 4 decimals, rounded down.",
        extra_json_schema={"type": "number", "examples": [10.5000]},
    ),
]
Required = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="USD with exactly 4 decimals, rounded up.",
        extra_json_schema={"type": "number", "examples": [0.1667]},
    ),
]
Amount = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="USD, exact, with up to 6 decimals.",
        extra_json_schema={"type": "number", "examples": [0.0042]},
    ),
]
AskedAmount = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="USD, with at most 6 decimals.",
        extra_json_schema={"type": "number", "examples": [5.00]},
    ),
]
"""An amount as a client wrote it, which no float has been near; left out where it has ``NO_AMOUNT`` by default."""
NO_AMOUNT = msgspec.Raw
Micros = Annotated[int, msgspec.Meta(description="Micro-USD, exact.")]
Time = Annotated[
    str,
    msgspec.Meta(
        description="RFC 3339, UTC.",
        extra_json_schema={"format": "date-time", "examples": ["2026-11-23T17:00:00Z"]},
    ),
]

AskedTime = Annotated[
    str, msgspec.Meta(extra_json_schema={"format": "date-time", "examples": ["2026-11-23T17:00:00Z"]})
]
"""A time in a query, to be read by ``asked_time``."""
_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]
_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
"""A number of JSON: sign, digits before and after the point, exponent."""
_EXPONENT_MAX = 100_000_000
_DECIMALS_MAX = 6
_DOLLAR_DIGITS_MAX = 12
encode_json = msgspec.json.Encoder().encode


def balance_number(balance: MicroUsd) -> msgspec.Raw:
    """Return a balance as a JSON number with exactly 4 decimals, rounded down."""
    return msgspec.Raw(floor_to_four_decimals(balance).encode())


def required_number(amount: MicroUsd) -> msgspec.Raw:
    """Return what is required as a JSON number with exactly 4 decimals, rounded up."""
    return msgspec.Raw(ceil_to_four_decimals(amount).encode())


def amount_number(amount: MicroUsd) -> msgspec.Raw:
    """Return an amount as a JSON number, exact, with up to 6 decimals."""
    return msgspec.Raw(exact_usd(amount).encode())


def optional_amount(amount: MicroUsd | None) -> msgspec.Raw | None:
    """Return an amount as a JSON number, exact, or None."""
    return None if amount is None else amount_number(amount)


def optional_time(instant: Instant | None) -> str | None:
    """Return an instant as RFC 3339, or None."""
    return None if instant is None else to_rfc3339(instant)


def asked_amount(raw: msgspec.Raw, field: str) -> MicroUsd | None:
    """Return the exact amount that a client asks for; None where it is left out or null. Raises Invalid."""
    text = bytes(raw).decode()
    if text in ("", "null"):
        return None
    number = _NUMBER.fullmatch(text)
    if number is None:
        raise Invalid(fields={field: "must be a number of USD with at most 6 decimals"})
    sign, dollars, decimals, exponent = number.groups("")
    digits = (dollars + decimals).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return ZERO
    # The amount is the significant digits times ten to this power; beyond either bound they are not made a number of.
    power = _bounded(exponent) - len(decimals) + len(digits) - len(significant)
    if power < -_DECIMALS_MAX:
        raise Invalid(fields={field: "must be a number of USD with at most 6 decimals"})
    if len(significant) + power > _DOLLAR_DIGITS_MAX:
        raise Invalid(fields={field: f"must be below 1{'0' * _DOLLAR_DIGITS_MAX} USD"})
    micros = int(significant) * 10 ** (power + _DECIMALS_MAX)
    return MicroUsd(-micros if sign else micros)


def _bounded(exponent: str) -> int:
    """Return an exponent, or where it is farther from zero than any body is long, one that is as well."""
    digits = exponent.lstrip("+-").lstrip("0")
    size = int(digits or "0") if len(digits) < len(str(_EXPONENT_MAX)) else _EXPONENT_MAX
    return -size if exponent.startswith("-") else size


def asked_time(text: str, field: str) -> Instant:
    """Return the instant that a query asks for. Raises Invalid for what is not RFC 3339 with a time zone."""
    try:
        # In UTC already here, where the first and the last year may turn out to be one that cannot be written.
        return from_datetime(msgspec.convert(text, _ZONED, strict=True).astimezone(UTC))
    except (msgspec.ValidationError, OverflowError):
        raise Invalid(fields={field: "must be an RFC 3339 time, with its time zone"}) from None
