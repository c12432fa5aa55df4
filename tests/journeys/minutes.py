"""How many minutes the runs of a VPS come to by the rule, and which were recorded; reckoned apart from the product."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from domain.events import Event
from domain.wallet.events import MeterStarted, MinutesMetered, MinutesWaived, VpsReleased

MINUTE_US = 60_000_000
FOR_EVER = 2**62


class Minutes(msgspec.Struct):
    """Numbers of the minutes of one VPS."""

    paid: list[int]
    waived: list[int]
    expected: int
    """How many began while it ran, by the recorded instants of its first logins and releases alone."""


def minutes_of(vps_id: UUID, events: Iterable[Event]) -> Minutes:
    """Return what was recorded of a VPS's minutes, and what should have been."""
    minutes = Minutes([], [], 0)
    runs: list[list[int]] = []
    for event in events:
        match event:
            case MinutesMetered() | MinutesWaived():
                numbers = minutes.paid if isinstance(event, MinutesMetered) else minutes.waived
                for line in event.lines:
                    if line.vps_id == vps_id:
                        numbers.extend(range(line.n_from, line.n_to + 1))
            case MeterStarted() if event.vps_id == vps_id:
                runs.append([event.at, FOR_EVER])
            case VpsReleased() if event.vps_id == vps_id and runs:
                runs[-1][1] = min(runs[-1][1], event.at)
    paid_until = 0
    for begin, end in runs:
        next_at = max(paid_until, begin)
        while next_at < end:
            minutes.expected, next_at = minutes.expected + 1, next_at + MINUTE_US
            if minutes.expected in minutes.paid:
                paid_until = next_at
    return minutes


def check_minutes(minutes: Minutes, *, waived_max: int) -> None:
    """Check that every minute was used once, in order, and that no more than these were waived."""
    used = minutes.paid + minutes.waived
    assert sorted(used) == list(range(1, len(used) + 1)), "a minute is missing or doubled"
    assert len(used) == minutes.expected
    assert len(minutes.waived) <= waived_max
