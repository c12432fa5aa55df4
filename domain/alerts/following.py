"""Following: what of everything recorded an account is to be told of, event by event."""

from typing import get_args

import msgspec

from domain.alerts.events import (
    AddressGiven,
    AddressVerified,
    AlertKind,
    AlertsEnded,
    AlertsSwitchedOff,
    ThresholdsSet,
)
from domain.compute.events import VpsStopRequested
from domain.events import Event
from domain.ids import AccountId, EventId, VpsId
from domain.money import ZERO, MicroUsd
from domain.time import Instant
from domain.wallet.events import FundsCorrected, FundsTaken, MinutesMetered
from domain.wallet.movements import Moving, movement

_STOPS: dict[str, AlertKind] = {"unpaid": "vps-unpaid", "limit": "vps-limit", "frozen": "vps-frozen"}

Followed = (
    Moving | AddressGiven | ThresholdsSet | AddressVerified | AlertsSwitchedOff | AlertsEnded | VpsStopRequested
)  # fmt: skip
"""Events after which something is to be told, or somebody else, or at another threshold."""
FOLLOWED: tuple[type[Event], ...] = get_args(Followed)


class Watch(msgspec.Struct, frozen=True):
    """What is to be known of an account to tell what it wants to be told."""

    balance: MicroUsd = ZERO
    thresholds: tuple[MicroUsd, ...] = ()
    verified: bool = False


class Happened(msgspec.Struct, frozen=True):
    """An event, and what is recorded beside it."""

    event: Event
    event_id: EventId
    account_id: AccountId
    position: int
    at: Instant
    vps_id: VpsId | None = None
    """Of an event in the stream of a VPS."""


class Due(msgspec.Struct, frozen=True):
    """Something that an account is to be told of, and why."""

    account_id: AccountId
    kind: AlertKind
    position: int
    """Of the event that it follows from; with the kind, it is told once."""
    cause: EventId
    at: Instant
    threshold: MicroUsd | None = None
    balance: MicroUsd | None = None
    vps_id: VpsId | None = None
    amount: MicroUsd | None = None


def follow(watch: Watch, happened: Happened) -> tuple[Watch, tuple[Due, ...]]:
    """Return what is known after an event, and what is to be told of it."""
    after = watched(watch, happened.event)
    return after, told_of(watch, after, happened)


def watched(watch: Watch, event: Event) -> Watch:
    """Return what is known after an event."""
    replace = msgspec.structs.replace
    if isinstance(event, Moving):
        return replace(watch, balance=MicroUsd(watch.balance + movement(event)))
    match event:
        case AddressGiven():
            return replace(watch, verified=False)
        case AddressVerified():
            return replace(watch, verified=True)
        case ThresholdsSet():
            return replace(watch, thresholds=event.thresholds)
        case AlertsSwitchedOff() | AlertsEnded():
            return replace(watch, thresholds=(), verified=False)
        case _:
            return watch


def told_of(before: Watch, after: Watch, happened: Happened) -> tuple[Due, ...]:
    """Return what is to be told of an event: nothing while no address is verified."""
    event = happened.event
    if not after.verified:
        return ()
    due: list[Due] = []
    # In the order of their kinds, which is that of the read model as well.
    if isinstance(event, FundsTaken) and event.owed > 0:
        due.append(_due(happened, "account-frozen", balance=after.balance, amount=event.owed))
    # Not at the payment's own event, which comes before what is taken: the balance would be that of before.
    # While the bank only asks, nothing is taken, and nobody needs to do anything but us.
    if isinstance(event, FundsTaken) and event.cause == "dispute":
        disputed = MicroUsd(event.taken + event.owed + event.absorbed)
        due.append(_due(happened, "dispute-opened", balance=after.balance, amount=disputed))
    # What comes in and goes at once to a debt never was anybody's to fall below.
    if isinstance(event, MinutesMetered | FundsTaken | FundsCorrected):
        threshold = crossed(before.balance, after.balance, after.thresholds)
        if threshold is not None:
            due.append(_due(happened, "low-balance", balance=after.balance, threshold=threshold))
    if isinstance(event, VpsStopRequested) and event.reason in _STOPS:
        due.append(_due(happened, _STOPS[event.reason], balance=after.balance, vps_id=happened.vps_id))
    return tuple(due)


def crossed(before: MicroUsd, after: MicroUsd, thresholds: tuple[MicroUsd, ...]) -> MicroUsd | None:
    """Return the lowest threshold that a balance fell to or below just now; None where it fell to none anew."""
    return min((threshold for threshold in thresholds if before > threshold >= after), default=None)


def _due(
    happened: Happened,
    kind: AlertKind,
    *,
    balance: MicroUsd,
    threshold: MicroUsd | None = None,
    vps_id: VpsId | None = None,
    amount: MicroUsd | None = None,
) -> Due:
    return Due(
        account_id=happened.account_id,
        kind=kind,
        position=happened.position,
        cause=happened.event_id,
        at=happened.at,
        threshold=threshold,
        balance=balance,
        vps_id=vps_id,
        amount=amount,
    )
