"""What requests about alerts take and tell."""

from datetime import datetime
from typing import Annotated

import msgspec

from api.http.rendering import Amount, AskedAmount, amount_number, asked_amount
from domain.alerts import alerts
from domain.alerts.alerts import Alerts, GivenUp
from domain.alerts.events import GivenUpCause
from domain.errors import Invalid
from domain.money import MicroUsd
from domain.time import to_datetime

EXAMPLE = {"email": "ops@example.com", "verified": False, "thresholds": [5, 1], "undelivered": None}
UNDELIVERED_EXAMPLE = {
    "email": "ops@example.com",
    "since": "2026-11-26T00:00:00Z",
    "reason": "the mail server refused it for good: 550 no such mailbox",
}
_GIVEN_UP: dict[GivenUpCause, str] = {
    "refused": "the mail server refused it for good",
    "unreachable": "no mail server took it for a day and a half",
    "stale": "it could not be sent while it was of use",
}


class AlertsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts are to go."""

    email: Annotated[str | None, msgspec.Meta(description="Null switches alerts off.")]
    thresholds: Annotated[
        Annotated[tuple[AskedAmount, ...], msgspec.Meta(max_length=alerts.THRESHOLDS_MAX)] | None,
        msgspec.Meta(description="USD: you are told when the balance falls to or below one. Without them: 1.00."),
    ] = None

    def requested_thresholds(self) -> tuple[MicroUsd, ...] | None:
        """Return the thresholds that are asked for; None where none are. Raises Invalid."""
        if self.thresholds is None:
            return None
        amounts = [asked_amount(raw, "thresholds") for raw in self.thresholds]
        if None in amounts:
            raise Invalid(fields={"thresholds": "must be numbers of USD"})
        return tuple(amount for amount in amounts if amount is not None)


class Undelivered(msgspec.Struct, frozen=True):
    """Mail that was given up: nobody was told what it says."""

    email: str
    since: datetime
    reason: Annotated[str, msgspec.Meta(description="Why, in words; for a refusal, those of the mail server.")]

    @classmethod
    def of(cls, given_up: GivenUp) -> "Undelivered":
        """Return mail that was given up as it is told."""
        reason = _GIVEN_UP[given_up.cause] + (f": {given_up.reason}" if given_up.cause == "refused" else "")
        return cls(given_up.email, to_datetime(given_up.since), reason)


class AlertsResponse(msgspec.Struct, frozen=True):
    """Where alerts go, once the address is verified; nowhere where it is null."""

    email: str | None
    verified: bool
    thresholds: tuple[Amount, ...]
    undelivered: Annotated[
        Undelivered | None,
        msgspec.Meta(description="Null unless mail was given up and no later one was sent."),
    ]

    @classmethod
    def of(cls, seen: Alerts) -> "AlertsResponse":
        """Return where alerts go as it is told."""
        thresholds = tuple(amount_number(threshold) for threshold in seen.thresholds)
        undelivered = None if seen.undelivered is None else Undelivered.of(seen.undelivered)
        return cls(seen.email, seen.verified, thresholds, undelivered)
