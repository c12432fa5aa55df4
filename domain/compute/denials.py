"""Denials: what a guest was kept from reaching, recorded of its VPS, and no oftener than its owner can use."""

from collections.abc import Sequence

import msgspec

from domain.compute.events import VpsEgressDenied
from domain.compute.ports import Denial
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision, recorded_in
from domain.ids import vps_stream
from domain.time import DAY, Instant, seconds

TARGETS_MAX = 20
"""In one event."""
EVERY_S = 55.0
"""Of one VPS at most one event in so long: a guest that is refused all the time writes no ledger full."""
A_DAY_MAX = 200
"""Of one VPS, by days of UTC; what is refused beyond is recorded nowhere."""


class DeniedTarget(msgspec.Struct, frozen=True):
    """What was tried, and how often."""

    protocol: str
    target: str
    port: int
    count: int


def record_denials(vps: Vps | None, denials: Sequence[Denial], now: Instant) -> Decision:
    """Decide what is recorded of what a guest was kept from; nothing of a VPS that is gone, and nothing too often."""
    if vps is None or vps.gone or not denials:
        return NOTHING
    if vps.denied_at is not None and now - vps.denied_at < seconds(EVERY_S):
        return NOTHING
    if vps.denied_at is not None and vps.denied_at // DAY == now // DAY and vps.denied_of_day >= A_DAY_MAX:
        return NOTHING
    tried_most = sorted(denials, key=lambda denial: -denial.count)[:TARGETS_MAX]
    told = [DeniedTarget(denial.protocol, denial.target, denial.port, denial.count) for denial in tried_most]
    event = VpsEgressDenied(
        count=sum(denial.count for denial in denials), targets=msgspec.json.encode(told).decode(), at=now
    )
    return recorded_in(vps_stream(vps.vps_id), event)
