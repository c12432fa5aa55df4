"""What requests about transactions, balances and usage take and tell."""

from datetime import date, timedelta
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec

from api.application.billing.balance import BalanceThen
from api.application.billing.transactions import TransactionDetails, TransactionListQuery
from api.application.billing.usage import Grouping, Key, Sum, Usage
from api.http.pages import Cursor, Page, cursor_of
from api.http.rendering import (
    Amount,
    AskedTime,
    Balance,
    Micros,
    Required,
    Time,
    amount_number,
    asked_time,
    balance_number,
    optional_amount,
    optional_time,
    required_number,
)
from domain.errors import Invalid
from domain.ids import AccountId, VpsId
from domain.time import Instant, to_rfc3339
from projections.entries import Kind

_GROUPINGS = ("vps", "token", "label", "day")
_EPOCH = date(1970, 1, 1)
_VPS_ID = "01937b1e-5c00-7000-8000-000000000003"
TRANSACTION_EXAMPLE: dict[str, Any] = {
    "id": f"{_VPS_ID}:1-60",
    "at": "2026-11-23T17:00:21.5Z",
    "kind": "minutes",
    "amount": -0.0042,
    "balance_after": 10.4958,
    "balance_after_micros": 10_495_800,
    "description": "60 minutes of web-01 at 0.0042 USD an hour",
    "vps_id": _VPS_ID,
    "token_id": None,
    "payment_id": None,
    "reason": None,
    "corrects": None,
    "owed": 0,
    "minutes": 60,
    "n_from": 1,
    "n_to": 60,
    "begins_at": "2026-11-23T17:00:09.214Z",
    "price_hourly": 0.0042,
    "waived": None,
    "would_have_cost": None,
}
BALANCE_EXAMPLE = {
    "at": "2026-11-23T17:00:00Z",
    "balance": 10.5,
    "balance_micros": 10_500_000,
    "owed": 0,
    "owed_micros": 0,
    "frozen": False,
}
_SUM = {"minutes": 4320, "amount": 0.3024, "waived_minutes": 0, "would_have_cost": 0}
USAGE_EXAMPLE = {
    "from": "2026-11-01T00:00:00Z",
    "to": "2026-11-23T17:00:00Z",
    "total": _SUM,
    "groups": [{**_SUM, "vps_id": _VPS_ID, "token_id": None, "label": None, "day": None}],
}


class TransactionsQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which transactions are wanted."""

    detail: Annotated[
        Literal["hour", "minute"],
        msgspec.Meta(description="``hour``: minutes folded to a line an hour a VPS; ``minute``: each by itself."),
    ] = "hour"
    from_: Annotated[
        AskedTime | None, msgspec.Meta(description="Recorded then or later; a folded line by its first minute.")
    ] = msgspec.field(default=None, name="from")
    to: Annotated[AskedTime | None, msgspec.Meta(description="Recorded before.")] = None
    kind: Annotated[Kind | None, msgspec.Meta(description="Not with ``detail=minute``.")] = None
    vps_id: Annotated[UUID | None, msgspec.Meta(description="Minutes of this VPS; not with ``detail=minute``.")] = None

    def to_query(self, account_id: AccountId) -> TransactionListQuery:
        """Return which transactions of an account this asks for. Raises Invalid."""
        cursor = cursor_of(self)
        return TransactionListQuery(
            account_id=account_id,
            since=None if self.from_ is None else asked_time(self.from_, "from"),
            until=None if self.to is None else asked_time(self.to, "to"),
            limit=self.limit,
            offset=self.offset,
            before=_place(cursor) if cursor is not None and cursor.side == "before" else None,
            after=_place(cursor) if cursor is not None and cursor.side == "after" else None,
            kind=self.kind,
            vps_id=None if self.vps_id is None else VpsId(self.vps_id),
        )


class TransactionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An event about funds, or minutes of one VPS. What does not fit its kind is null."""

    id: str
    """The event's id; of minutes ``<vps id>:<n>``, or ``<vps id>:<first n>-<last n>`` where they are folded."""
    at: Time
    """When it was recorded, of folded minutes the first of them: there they stay while others are added."""
    kind: Kind
    amount: Amount
    """By how much it moved the balance."""
    balance_after: Balance
    balance_after_micros: Micros
    description: str
    vps_id: UUID | None
    token_id: UUID | None
    payment_id: UUID | None
    reason: str | None
    corrects: UUID | None
    """The event that this puts right."""
    owed: Amount
    """By how much it moved what the account owes."""
    minutes: int | None
    n_from: int | None
    n_to: int | None
    begins_at: Time | None
    """When the first of the minutes began."""
    price_hourly: Amount | None
    waived: Literal["unpaid", "limit", "unproven"] | None
    """Why nobody pays these minutes."""
    would_have_cost: Amount | None

    @classmethod
    def of(cls, one: TransactionDetails) -> "TransactionResponse":
        """Return a transaction as it is told."""
        waived = one.kind == "waived"
        return cls(
            id=one.id,
            at=to_rfc3339(one.at),
            kind=one.kind,
            amount=amount_number(one.amount),
            balance_after=balance_number(one.balance_after),
            balance_after_micros=one.balance_after,
            description=one.description,
            vps_id=one.vps_id,
            token_id=one.token_id,
            payment_id=one.payment_id,
            reason=one.reason,
            corrects=one.corrects,
            owed=amount_number(one.owed),
            minutes=one.minutes,
            n_from=one.n_from,
            n_to=one.n_to,
            begins_at=optional_time(one.begins_at),
            price_hourly=optional_amount(one.price_hourly),
            waived=one.cause if waived else None,  # type: ignore[arg-type]
            would_have_cost=amount_number(one.cost) if waived and one.cost is not None else None,
        )


class BalanceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which balance is wanted."""

    at: Annotated[AskedTime | None, msgspec.Meta(description="As recorded by then; without it, now.")] = None

    def instant(self) -> Instant | None:
        """Return the instant that is asked for; None: now. Raises Invalid."""
        return None if self.at is None else asked_time(self.at, "at")


class BalanceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The balance at an instant."""

    at: Time
    balance: Balance
    balance_micros: Micros
    owed: Required | None
    """What the account owes now, since more was clawed back than it had left; 0 where nothing; null with ``at``."""
    owed_micros: Micros | None
    frozen: bool | None
    """Whether it owes something: then nothing of it can be switched on until that is paid; null with ``at``."""

    @classmethod
    def of(cls, then: BalanceThen) -> "BalanceResponse":
        """Return a balance as it is told."""
        return cls(
            at=to_rfc3339(then.at),
            balance=balance_number(then.balance),
            balance_micros=then.balance,
            owed=None if then.owed is None else required_number(then.owed),
            owed_micros=then.owed,
            frozen=None if then.owed is None else then.owed > 0,
        )


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which usage is wanted."""

    from_: Annotated[
        AskedTime | None, msgspec.Meta(description="Minutes that begin then or later; default: the month's first.")
    ] = msgspec.field(default=None, name="from")
    to: Annotated[AskedTime | None, msgspec.Meta(description="Minutes that begin before; default: now.")] = None
    group_by: Annotated[
        str, msgspec.Meta(description="One or several of ``vps``, ``token``, ``label``, ``day``, with commas.")
    ] = "vps"

    def since(self) -> Instant | None:
        """Return from when on it is asked for. Raises Invalid."""
        return None if self.from_ is None else asked_time(self.from_, "from")

    def until(self) -> Instant | None:
        """Return until when it is asked for; None: now. Raises Invalid."""
        return None if self.to is None else asked_time(self.to, "to")

    def grouping(self) -> frozenset[Grouping]:
        """Return by what it is to be grouped. Raises Invalid."""
        names = self.group_by.split(",")
        if len(set(names)) < len(names) or not set(names) <= set(_GROUPINGS):
            raise Invalid(fields={"group_by": "must be one or several of vps, token, label, day, with commas"})
        return frozenset(cast("list[Grouping]", names))


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes and money."""

    minutes: int
    amount: Amount
    waived_minutes: int
    """That nobody pays; they are not among ``minutes``."""
    would_have_cost: Amount
    """What the waived ones would have cost."""

    @classmethod
    def of(cls, one: Sum) -> "UsageSum":
        """Return a sum as it is told."""
        return cls(**_numbers(one))


class LabelResponse(msgspec.Struct, frozen=True):
    """A label of VPSs."""

    key: str
    value: str


class UsageGroup(UsageSum, frozen=True, kw_only=True):
    """Those of one group; what it is not grouped by is null."""

    vps_id: UUID | None
    token_id: UUID | None
    """Null also for what no token created."""
    label: LabelResponse | None
    """Null also for what has none."""
    day: str | None
    """In UTC."""

    @classmethod
    def of_key(cls, key: Key, one: Sum) -> "UsageGroup":
        """Return the sum of a group as it is told."""
        day = None if key.day is None else (_EPOCH + timedelta(days=key.day)).isoformat()
        label = None if key.label is None else LabelResponse(*key.label)
        return cls(vps_id=key.vps_id, token_id=key.token_id, label=label, day=day, **_numbers(one))


class UsageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was used within a time."""

    since: Time = msgspec.field(name="from")
    to: Time
    total: UsageSum
    groups: list[UsageGroup]

    @classmethod
    def of(cls, usage: Usage) -> "UsageResponse":
        """Return what was used as it is told."""
        return cls(
            since=to_rfc3339(usage.since),
            to=to_rfc3339(usage.until),
            total=UsageSum.of(usage.total),
            groups=[UsageGroup.of_key(key, usage.groups[key]) for key in sorted(usage.groups, key=_order)],
        )


def _numbers(one: Sum) -> dict[str, Any]:
    return {
        "minutes": one.minutes,
        "amount": amount_number(one.amount),
        "waived_minutes": one.waived_minutes,
        "would_have_cost": amount_number(one.waived),
    }


def _order(key: Key) -> tuple[int, str, str, tuple[str, str]]:
    return key.day or 0, str(key.vps_id or ""), str(key.token_id or ""), key.label or ("", "")


def _place(cursor: Cursor) -> tuple[int, int]:
    position, parted, place = cursor.key.partition("-")
    if not (parted and position.isdecimal() and place.isdecimal() and len(position) <= 18 and len(place) <= 9):
        raise Invalid(fields={"cursor": "is none of this list"})
    return int(position), int(place)
