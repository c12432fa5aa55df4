"""Boots: what guests run before anybody can log in is free, so it is bounded by the hour: guests can prolong it."""

import msgspec

from domain.errors import Refusal
from domain.ids import VpsId
from domain.time import HOUR, Instant, seconds
from domain.wallet.events import BootEnded

BOOT_MAX = seconds(180)
"""How long a guest is waited for at a start. One that it lets fail counts for all of it, however soon it did."""
BOOT_USUAL = seconds(30)
"""Of a boot that ended by a login, so much is not counted."""
FAILED_STARTS_OF_VPS_MAX = 3
"""Within an hour; as much free boot comes to the same."""
FAILED_STARTS_OF_ACCOUNT_MAX = 10
"""The same for all VPSs of an account together, where no setting says otherwise; deleted ones count on."""


class TooManyFailedStarts(Refusal):
    """The guest, or all guests of the account, let too many starts fail within an hour, or booted for as long."""

    code = "too_many_failed_starts"
    sentence = "too many failed starts"


class Boot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A boot that counts: of which VPS, until when, and as how many microseconds."""

    vps_id: VpsId
    ended_at: Instant
    counted: int


def with_boot(boots: tuple[Boot, ...], event: BootEnded) -> tuple[Boot, ...]:
    """Return the boots of the last hour with one more."""
    kept = (boot for boot in boots if boot.ended_at > event.at - HOUR)
    return (*kept, Boot(event.vps_id, event.at, _counted(event)))


def check_boots(boots: tuple[Boot, ...], vps_id: VpsId, of_account_max: int, now: Instant) -> None:
    """Raise TooManyFailedStarts where a VPS, or all of the account's, had as much free boot as an hour allows."""
    of_vps = [boot for boot in boots if boot.vps_id == vps_id]
    wait = max(
        _wait(of_vps, FAILED_STARTS_OF_VPS_MAX * BOOT_MAX, now), _wait(list(boots), of_account_max * BOOT_MAX, now)
    )
    if wait:
        raise TooManyFailedStarts(retry_after_seconds=-(-wait // seconds(1)))


def is_counted(event: BootEnded) -> bool:
    """Return whether a boot is worth recording: most end by a login soon enough."""
    return _counted(event) > 0


def _counted(event: BootEnded) -> int:
    lasted = max(0, event.at - event.began_at)
    match event.ending:
        case "failed":
            return BOOT_MAX
        case "abandoned":
            return min(lasted, BOOT_MAX)
        case "slow":
            return max(0, min(lasted, BOOT_MAX) - BOOT_USUAL)


def _wait(boots: list[Boot], allowed: int, now: Instant) -> int:
    """Return how long it takes until the boots of the hour before come to less than is allowed; 0: they do."""
    recent = sorted((boot for boot in boots if boot.ended_at > now - HOUR), key=lambda boot: boot.ended_at)
    total, wait = sum(boot.counted for boot in recent), 0
    for boot in recent:
        if total < allowed:
            break
        total, wait = total - boot.counted, boot.ended_at + HOUR - now
    return wait
