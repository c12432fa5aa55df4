"""A month in UTC, by which statements are made."""

import re
from datetime import UTC, datetime
from functools import cached_property, lru_cache

import msgspec

from domain.errors import Invalid
from domain.time import HOUR, Instant, from_datetime, to_datetime

_WRITTEN = re.compile(r"(19[7-9]\d|[2-9]\d{3})-(0[1-9]|1[0-2])", re.ASCII)


class Month(msgspec.Struct, frozen=True, order=True, dict=True):
    """A month of a year, from its first instant to the one before the next month's first."""

    year: int
    number: int
    """1 is January."""

    def __str__(self) -> str:
        return self._written

    @cached_property
    def _written(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"

    @cached_property
    def begins(self) -> Instant:
        """The first instant of the month."""
        return from_datetime(datetime(self.year, self.number, 1, tzinfo=UTC))

    @cached_property
    def ends(self) -> Instant:
        """The first instant that is in the month no more."""
        return self.following.begins

    @property
    def following(self) -> "Month":
        """The month after this one."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def previous(self) -> "Month":
        """The month before this one."""
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)


def month_of(instant: Instant) -> Month:
    """Return the month that an instant is in."""
    return _month_of_hour(instant // HOUR)


def parse_month(text: str) -> Month:
    """Read a month such as ``2026-11``. Raises Invalid for anything else."""
    if _WRITTEN.fullmatch(text) is None or text == "9999-12":
        raise Invalid(fields={"month": "must be a month such as 2026-11"})
    return Month(int(text[:4]), int(text[5:]))


@lru_cache(maxsize=1024)
def _month_of_hour(hour: int) -> Month:
    moment = to_datetime(Instant(hour * HOUR))
    return Month(moment.year, moment.month)
