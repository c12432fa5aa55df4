"""Amounts that clients write are read exactly, however JSON lets a number be written."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.rendering import asked_amount
from domain.errors import Invalid
from domain.money import MicroUsd, exact_usd
from tests.api.houses import Customer

DECIMALS = "must be a number of USD with at most 6 decimals"
RANGE = "must be below 1000000000000 USD"


def asked(text: str) -> MicroUsd | None:
    """Return the amount that a client writes so, as a body is read."""
    return asked_amount(msgspec.json.decode(text, type=msgspec.Raw), "amount")


def refused(text: str) -> str:
    with pytest.raises(Invalid) as no:
        asked(text)
    fields = no.value.facts["fields"]
    assert isinstance(fields, dict)
    return str(fields["amount"])


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("5e0", 5_000_000),
        ("1e1", 10_000_000),
        ("5.0000000", 5_000_000),
        ("500E-2", 5_000_000),
        ("0.5e+1", 5_000_000),
        ("-3.5", -3_500_000),
        ("-0.0e5", 0),
        ("0e99999999999", 0),
        ("1e9", 1_000_000_000_000_000),
        ("1e-6", 1),
        ("999999999999.999999", 999_999_999_999_999_999),
        ("0." + "0" * 5_000 + "5e5001", 5_000_000),
        ("5" + "0" * 5_000 + "e-5000", 5_000_000),
    ],
)
def test_a_number_is_read_exactly_however_it_is_written(text: str, micros: int) -> None:
    assert asked(text) == micros


@pytest.mark.parametrize("text", ["0.0000001", "1e-7", "1e-99999999999", "5.00000001e1", '"5"', "true", "[5]", "{}"])
def test_what_is_no_number_of_micro_dollars_is_refused(text: str) -> None:
    assert refused(text) == DECIMALS


@pytest.mark.parametrize("text", ["1e12", "1000000000000", "1e99999999999", "-1e12", "9" * 5_000])
def test_what_is_far_beyond_any_amount_is_refused_for_just_that(text: str) -> None:
    assert refused(text) == RANGE


def test_what_is_left_out_or_null_is_no_amount() -> None:
    assert asked_amount(msgspec.Raw(), "amount") is None
    assert asked("null") is None


@given(st.integers(-(10**18) + 1, 10**18 - 1), st.integers(0, 30), st.integers(0, 9))
def test_moving_the_point_and_adding_zeros_change_nothing(micros: int, exponent: int, zeros: int) -> None:
    sign, digits = "-" if micros < 0 else "", str(abs(micros))
    decimals = digits[1:] + "0" * zeros
    scientific = f"{sign}{digits[0]}{'.' if decimals else ''}{decimals}e{len(digits) - 1 - 6}"
    shifted = f"{sign}{abs(micros) * 10**exponent}E-{6 + exponent}"

    assert asked(scientific) == asked(shifted) == asked(exact_usd(MicroUsd(micros))) == micros


@pytest.mark.anyio
async def test_what_is_too_much_to_be_paid_at_once_is_told_its_range(bob: Customer) -> None:
    async def asked_for(amount: str) -> tuple[int, object]:
        body, headers = f'{{"amount": {amount}}}'.encode(), {"content-type": "application/json"}
        answer = await bob.ask("POST", "/api/billing/add-funds", headers=headers, content=body)
        return answer.status_code, answer.json().get("fields")

    assert [await asked_for(amount) for amount in ("1e1", "5.0000000")] == [(200, None)] * 2
    assert await asked_for("1e9") == (400, {"amount": "must be from 5.00 to 50.00 USD, in whole cents"})
