"""What a guest was kept from is told to its owner, sealed, and no oftener than that is of use."""

import msgspec
import pytest

from domain.compute.denials import A_DAY_MAX, TARGETS_MAX, record_denials
from domain.compute.events import VpsEgressDenied
from domain.compute.ports import Denial
from domain.compute.vps import Vps
from domain.deciding import NOTHING
from domain.events import personal_fields
from domain.time import DAY, Instant
from tests.domain.compute.lives import LIVES, VPS, after, at, vps_in

TRIED = [Denial(VPS, "tcp", "10.0.0.5", 5432, 3), Denial(VPS, "name", "evil.example", 0, 9)]


def told(vps: Vps, denials: list[Denial], now: Instant) -> VpsEgressDenied:
    ((_, event),) = record_denials(vps, denials, now).events
    assert isinstance(event, VpsEgressDenied)
    return event


def test_what_was_tried_most_comes_first_and_all_is_counted() -> None:
    event = told(vps_in("running"), TRIED, at(500))
    assert event.count == 12
    assert [target["target"] for target in msgspec.json.decode(event.targets)] == ["evil.example", "10.0.0.5"]
    assert set(personal_fields(VpsEgressDenied)) == {"targets"}


def test_a_scan_is_told_in_part_and_counted_whole() -> None:
    scan = [Denial(VPS, "tcp", "10.0.0.5", port, 1) for port in range(1, 200)]
    event = told(vps_in("running"), scan, at(500))
    assert (event.count, len(msgspec.json.decode(event.targets))) == (199, TARGETS_MAX)


def test_one_minute_has_one_event() -> None:
    vps = after(*LIVES["running"], told(vps_in("running"), TRIED, at(500)))
    assert record_denials(vps, TRIED, at(530)) == NOTHING
    assert record_denials(vps, TRIED, at(560)) != NOTHING


def test_a_day_has_so_many_events_and_the_next_has_as_many_again() -> None:
    midnight = Instant((at(0) // DAY + 1) * DAY)
    often = (VpsEgressDenied(1, "[]", Instant(midnight + minute)) for minute in range(A_DAY_MAX))
    vps = after(*LIVES["running"], *often)
    assert record_denials(vps, TRIED, Instant(midnight + DAY // 2)) == NOTHING
    next_day = told(vps, TRIED, Instant(midnight + DAY))
    assert after(*LIVES["running"], next_day).denied_of_day == 1


@pytest.mark.parametrize("point", ["deleting", "deleted"])
def test_of_what_is_gone_nothing_is_told(point: str) -> None:
    assert record_denials(vps_in(point), TRIED, at(500)) == NOTHING
    assert record_denials(None, TRIED, at(500)) == NOTHING
    assert record_denials(vps_in("running"), [], at(500)) == NOTHING
