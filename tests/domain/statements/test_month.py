"""Months begin and end in UTC."""

import pytest

from domain.errors import Invalid
from domain.statements.month import Month, month_of, parse_month
from domain.time import Instant, to_rfc3339


def test_a_month_goes_from_its_first_instant_to_the_next_months_first() -> None:
    month = parse_month("2026-12")

    assert (to_rfc3339(month.begins), to_rfc3339(month.ends)) == ("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z")
    assert month_of(month.begins) == month == month_of(Instant(month.ends - 1))
    assert month_of(month.ends) == month.following == Month(2027, 1)
    assert month.following.previous == month
    assert parse_month("2026-11").previous == Month(2026, 10)
    assert str(Month(2027, 1).previous) == "2026-12"


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-1", "2026-13", "2026-00", "26-11", "2026-11-01", "２０２６-11", "2026-11\n", "9999-12"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_month(text)
