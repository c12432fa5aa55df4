"""How often an owner may have a VPS otherwise: each change is an event for ever, costs nothing, and waits for nothing.

Whatever is done about a VPS reads its events first, its stop included: nobody may have so many that this takes long.
"""

from domain.compute.vps import Vps
from domain.errors import Refusal
from domain.time import HOUR, Instant, seconds

CHANGES_PER_HOUR_MAX = 200
"""Of one VPS: starts, names, labels, expiries, policies and plans set, snapshots asked for and restored."""


class TooManyChanges(Refusal):
    """The VPS was changed as often as it may be within an hour."""

    code = "too_many_changes"
    sentence = "the vps was changed too often within this hour"


def check_changes(vps: Vps, count: int, now: Instant) -> None:
    """Raise TooManyChanges where so many changes are too many for this hour; none never are."""
    changed = vps.changes_count if vps.changes_hour == now // HOUR else 0
    if count and changed + count > CHANGES_PER_HOUR_MAX:
        raise TooManyChanges(retry_after_seconds=-(-(HOUR - now % HOUR) // seconds(1)))
