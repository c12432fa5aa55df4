"""Instants are exact, in UTC, and written the same way everywhere."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.time import MINUTE, Instant, from_datetime, seconds, to_datetime, to_rfc3339


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_000_000, "2023-11-14T22:13:20Z"),
        (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_an_instant_is_written_as_rfc_3339_in_utc(instant: int, text: str) -> None:
    assert to_rfc3339(Instant(instant)) == text


@given(st.integers(-(2 * 10**15), 10**17))
def test_an_instant_comes_back_from_a_datetime_to_the_microsecond(microseconds: int) -> None:
    assert from_datetime(to_datetime(Instant(microseconds))) == microseconds


def test_the_time_zone_of_a_datetime_changes_nothing() -> None:
    in_utc = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert from_datetime(in_utc.astimezone(timezone(timedelta(hours=5)))) == from_datetime(in_utc)


def test_a_datetime_without_a_time_zone_is_no_instant() -> None:
    with pytest.raises(AssertionError, match="time zone"):
        from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused here is just that.


def test_a_minute_is_sixty_seconds() -> None:
    assert seconds(60) == MINUTE
