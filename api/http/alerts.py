"""Alerts over HTTP: where mail about the balance goes."""

from datetime import datetime
from typing import Annotated

import msgspec

from api.application import rate_limits
from api.application.refusals import RateLimited
from api.http.bridge import Answer, Call, Endpoint, Told, told
from api.http.mailed_codes import new_code
from api.http.rendering import Amount, AskedAmount, amount_number, asked_amount
from domain.accounts.emails import checked_email
from domain.accounts.ports import Quota
from domain.alerts import alerts
from domain.alerts.alerts import Alerts, GivenUp, alerts_ref
from domain.alerts.commands import SetAlerts
from domain.alerts.events import GivenUpCause
from domain.errors import Invalid
from domain.money import MicroUsd
from domain.time import to_datetime

OF_ACCOUNT = Quota("verification-account", 5, 3600)
OF_ADDRESS = Quota("verification-address", 3, 3600)
"""How many codes are mailed for one account, and to one address, so that nobody is flooded with mail."""

_EXAMPLE = {"email": "ops@example.com", "verified": False, "thresholds": [5, 1], "undelivered": None}


_UNDELIVERED = {
    "email": "ops@example.com",
    "since": "2026-11-26T00:00:00Z",
    "reason": "the mail server refused it for good: 550 no such mailbox",
}
_GIVEN_UP: dict[GivenUpCause, str] = {
    "refused": "the mail server refused it for good",
    "unreachable": "no mail server took it for a day and a half",
    "stale": "it could not be sent while it was of use",
}


class WantedAlerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts are to go."""

    email: Annotated[str | None, msgspec.Meta(description="Null switches alerts off.")]
    thresholds: Annotated[
        Annotated[tuple[AskedAmount, ...], msgspec.Meta(max_length=alerts.THRESHOLDS_MAX)] | None,
        msgspec.Meta(description="USD: you are told when the balance falls to or below one. Without them: 1.00."),
    ] = None


class Undelivered(msgspec.Struct, frozen=True):
    """Mail that was given up: nobody was told what it says."""

    email: str
    since: datetime
    reason: Annotated[str, msgspec.Meta(description="Why, in words; for a refusal, those of the mail server.")]


class AlertsTold(msgspec.Struct, frozen=True):
    """Where alerts go, once the address is verified; nowhere where it is null."""

    email: str | None
    verified: bool
    thresholds: tuple[Amount, ...]
    undelivered: Annotated[
        Undelivered | None,
        msgspec.Meta(description="Null unless mail was given up and no later one was sent."),
    ]


async def put_alerts(call: Call) -> Answer:
    """Have alerts go to an address, which is mailed a code unless it is verified; or to none."""
    body: WantedAlerts = call.body
    if body.email is None:
        return await _switch_off(call, body)
    runtime, ref = call.runtime, alerts_ref(call.account_id)
    email = checked_email(body.email)
    thresholds = alerts.checked_thresholds(_thresholds(body.thresholds))
    if alerts.needs_verification((await runtime.aggregates.load(ref)).of(ref), email):
        await _check_flood(call, email)
    command = SetAlerts(body.email, thresholds, *new_code(call, "verification"))
    outcome = await runtime.aggregates.execute(
        (ref,),
        lambda loaded, now: alerts.set_alerts(loaded.of(ref), call.account_id, command, now),
        call.context("alerts"),
    )
    return told(200, _told(outcome.loaded.of(ref)))


async def get_alerts(call: Call) -> Answer:
    """Tell where alerts go."""
    ref = alerts_ref(call.account_id)
    return told(200, _told((await call.runtime.aggregates.load(ref)).of(ref)))


async def _switch_off(call: Call, body: WantedAlerts) -> Answer:
    if body.thresholds is not None:
        raise Invalid(fields={"thresholds": "must be left out where email is null"})
    ref = alerts_ref(call.account_id)
    outcome = await call.runtime.aggregates.execute(
        (ref,), lambda loaded, _now: alerts.switch_off(loaded.of(ref), call.account_id), call.context("alerts")
    )
    return told(200, _told(outcome.loaded.of(ref)))


async def _check_flood(call: Call, email: str) -> None:
    # The address itself is not to lie about among the counters.
    address = call.runtime.sealer.keyed_hash(OF_ADDRESS.name, email).hex()
    of_account, of_address = await call.runtime.rate_counters.count(
        [(OF_ACCOUNT, str(call.account_id)), (OF_ADDRESS, address)]
    )
    rate_limits.check(OF_ACCOUNT, of_account)
    rate_limits.check(OF_ADDRESS, of_address)


def _thresholds(asked: tuple[msgspec.Raw, ...] | None) -> tuple[MicroUsd, ...]:
    if asked is None:
        return alerts.THRESHOLDS_DEFAULT
    amounts = [asked_amount(raw, "thresholds") for raw in asked]
    if None in amounts:
        raise Invalid(fields={"thresholds": "must be numbers of USD"})
    return tuple(amount for amount in amounts if amount is not None)


def _told(seen: Alerts) -> AlertsTold:
    thresholds = tuple(amount_number(threshold) for threshold in seen.thresholds)
    return AlertsTold(seen.email, seen.verified, thresholds, _undelivered(seen.undelivered))


def _undelivered(given_up: GivenUp | None) -> Undelivered | None:
    if given_up is None:
        return None
    reason = _GIVEN_UP[given_up.cause] + (f": {given_up.reason}" if given_up.cause == "refused" else "")
    return Undelivered(given_up.email, to_datetime(given_up.since), reason)


ENDPOINTS = (
    Endpoint(
        method="PUT",
        path="/api/billing/alerts",
        name="put_alerts",
        tag="billing",
        summary="Be told by mail when funds run low",
        description=(
            "Mail goes out when the balance falls to or below a threshold, when a VPS is stopped for want of funds or"
            " for a token's limit, and when a payment is disputed or the account is frozen. Until the address has"
            " shown the code that is mailed to it (`POST /api/auth/verify-email`) nothing else is sent there."
            ' Without a call of this, nobody is told of anything. `{"email": null}` switches alerts off: what waits to'
            " be sent is not sent, and an address that is given later has to show a code again."
        ),
        who="account",
        handle=put_alerts,
        body=WantedAlerts,
        body_example={"email": "ops@example.com", "thresholds": [5.00, 1.00]},
        told=(Told(200, "Where alerts go; `email` is null where they are switched off.", AlertsTold, _EXAMPLE),),
        refusals=(RateLimited,),
    ),
    Endpoint(
        method="GET",
        path="/api/billing/alerts",
        name="get_alerts",
        tag="billing",
        summary="Where do alerts go",
        who="account",
        handle=get_alerts,
        told=(
            Told(
                200,
                "Where alerts go; `email` is null while they are off. `undelivered` tells of mail that was given up.",
                AlertsTold,
                {**_EXAMPLE, "undelivered": _UNDELIVERED},
            ),
        ),
    ),
)
