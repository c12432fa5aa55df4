"""Usage over HTTP: how many minutes, and how much money, for what."""

from datetime import date, timedelta
from typing import Annotated, Any, cast
from uuid import UUID

import msgspec

from api.application.billing.usage import Grouping, Key, Sum, usage_of
from api.http.bridge import Answer, Call, Endpoint, Told, told
from api.http.rendering import Amount, AskedTime, Time, amount_number, asked_time
from domain.errors import Invalid
from domain.statements.month import month_of
from domain.time import HOUR, Instant, to_rfc3339
from projections.reading import ProjectionBehind

SPAN_MAX = 366 * 24 * HOUR
GROUPS_MAX = 10_000
_GROUPINGS = ("vps", "token", "label", "day")
_EPOCH = date(1970, 1, 1)


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which usage is wanted."""

    from_: Annotated[
        AskedTime | None, msgspec.Meta(description="Minutes that begin then or later; default: the month's first.")
    ] = msgspec.field(default=None, name="from")
    to: Annotated[AskedTime | None, msgspec.Meta(description="Minutes that begin before; default: now.")] = None
    group_by: Annotated[
        str, msgspec.Meta(description="One or several of ``vps``, ``token``, ``label``, ``day``, with commas.")
    ] = "vps"


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes and money."""

    minutes: int
    amount: Amount
    waived_minutes: int
    """That nobody pays; they are not among ``minutes``."""
    would_have_cost: Amount
    """What the waived ones would have cost."""


class LabelTold(msgspec.Struct, frozen=True):
    """A label of VPSs."""

    key: str
    value: str


class UsageGroup(UsageSum, frozen=True, kw_only=True):
    """Those of one group; what it is not grouped by is null."""

    vps_id: UUID | None
    token_id: UUID | None
    """Null also for what no token created."""
    label: LabelTold | None
    """Null also for what has none."""
    day: str | None
    """In UTC."""


class UsageTold(msgspec.Struct, frozen=True, kw_only=True):
    """What was used within a time."""

    since: Time = msgspec.field(name="from")
    to: Time
    total: UsageSum
    groups: list[UsageGroup]


async def get_usage(call: Call) -> Answer:
    """Tell minutes and money by group, deleted VPSs included."""
    query: UsageQuery = call.query
    now = call.runtime.clock.now()
    # What begins at this very instant has begun.
    until = Instant(now + 1) if query.to is None else asked_time(query.to, "to")
    since = month_of(Instant(max(0, until - 1))).begins if query.from_ is None else asked_time(query.from_, "from")
    if not 0 <= until - since <= SPAN_MAX:
        raise Invalid(fields={"from": "must be before to, by 366 days at most"})
    total, groups = await usage_of(call.runtime, call.account_id, since, until, _grouping(query.group_by))
    if len(groups) > GROUPS_MAX:
        raise Invalid(fields={"group_by": f"more than {GROUPS_MAX} groups: ask for a shorter time, or fewer at once"})
    body = UsageTold(
        since=to_rfc3339(since),
        to=to_rfc3339(now if query.to is None else until),
        total=UsageSum(**_numbers(total)),
        groups=[_group(key, groups[key]) for key in sorted(groups, key=_order)],
    )
    return told(200, body)


def _grouping(text: str) -> frozenset[Grouping]:
    names = text.split(",")
    if len(set(names)) < len(names) or not set(names) <= set(_GROUPINGS):
        raise Invalid(fields={"group_by": "must be one or several of vps, token, label, day, with commas"})
    return frozenset(cast("list[Grouping]", names))


def _order(key: Key) -> tuple[int, str, str, tuple[str, str]]:
    return key.day or 0, str(key.vps_id or ""), str(key.token_id or ""), key.label or ("", "")


def _numbers(one: Sum) -> dict[str, Any]:
    return {
        "minutes": one.minutes,
        "amount": amount_number(one.amount),
        "waived_minutes": one.waived_minutes,
        "would_have_cost": amount_number(one.waived),
    }


def _group(key: Key, one: Sum) -> UsageGroup:
    day = None if key.day is None else (_EPOCH + timedelta(days=key.day)).isoformat()
    label = None if key.label is None else LabelTold(*key.label)
    return UsageGroup(vps_id=key.vps_id, token_id=key.token_id, label=label, day=day, **_numbers(one))


_SUM = {"minutes": 4320, "amount": 0.3024, "waived_minutes": 0, "would_have_cost": 0}
_VPS_ID = "01937b1e-5c00-7000-8000-000000000003"

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/billing/usage",
        name="get_usage",
        tag="billing",
        summary="What did I use",
        description=(
            "Minutes by when they began. A VPS counts in the group of each of its labels, so that groups by label may"
            " come to more than ``total``."
        ),
        who="account",
        scope="billing:read",
        handle=get_usage,
        query=UsageQuery,
        told=(
            Told(
                200,
                "Minutes and money, in all and by group.",
                UsageTold,
                {
                    "from": "2026-11-01T00:00:00Z",
                    "to": "2026-11-23T17:00:00Z",
                    "total": _SUM,
                    "groups": [{**_SUM, "vps_id": _VPS_ID, "token_id": None, "label": None, "day": None}],
                },
            ),
        ),
        refusals=(ProjectionBehind,),
    ),
)
