"""Transactions and balances over HTTP."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from api.application.billing.reading import seen
from api.application.billing.transactions import Asked, Shown, folded_transactions, single_minutes
from api.http.bridge import Answer, Call, Endpoint, Told, page_of, told
from api.http.pages import PAGE_HEADERS, Cursor, Page, cursor_of
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
from domain.ids import VpsId
from domain.money import MicroUsd
from domain.time import Instant, to_rfc3339
from projections.entries import Kind, balance_at
from projections.reading import ProjectionBehind

_VPS_ID = "01937b1e-5c00-7000-8000-000000000003"


class TransactionsPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class TransactionTold(msgspec.Struct, frozen=True, kw_only=True):
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


class BalanceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which balance is wanted."""

    at: Annotated[AskedTime | None, msgspec.Meta(description="As recorded by then; without it, now.")] = None


class BalanceTold(msgspec.Struct, frozen=True, kw_only=True):
    """The balance at an instant."""

    at: Time
    balance: Balance
    balance_micros: Micros
    owed: Required | None
    """What the account owes now, since more was clawed back than it had left; 0 where nothing; null with ``at``."""
    owed_micros: Micros | None
    frozen: bool | None
    """Whether it owes something: then nothing of it can be switched on until that is paid; null with ``at``."""


async def list_transactions(call: Call) -> Answer:
    """Tell every movement of the balance, newest first."""
    page: TransactionsPage = call.query
    if page.detail == "minute" and (page.kind is not None or page.vps_id is not None):
        field = "kind" if page.kind is not None else "vps_id"
        raise Invalid(fields={field: "not with detail=minute"})
    cursor = cursor_of(page)
    asked = Asked(
        account_id=call.account_id,
        since=None if page.from_ is None else asked_time(page.from_, "from"),
        until=None if page.to is None else asked_time(page.to, "to"),
        limit=page.limit,
        offset=page.offset,
        before=_place(cursor) if cursor is not None and cursor.side == "before" else None,
        after=_place(cursor) if cursor is not None and cursor.side == "after" else None,
        kind=page.kind,
        vps_id=None if page.vps_id is None else VpsId(page.vps_id),
    )
    find = single_minutes if page.detail == "minute" else folded_transactions
    found = await find(call.runtime, asked)
    shown = [_told(one) for one in found.shown]
    return page_of(call, shown, found.total, older=_key(found.older), newer=_key(found.newer))


async def get_balance(call: Call) -> Answer:
    """Tell the balance now, or as it was recorded by an instant."""
    query: BalanceQuery = call.query
    now = call.runtime.clock.now()
    if query.at is None:
        assert call.wallet is not None
        return told(200, _balance_told(now, call.wallet.balance, call.wallet.receivable))
    at = asked_time(query.at, "at")
    if at > now:
        raise Invalid(fields={"at": "must not be in the future"})
    async with seen(call.runtime) as connection:
        return told(200, _balance_told(at, await balance_at(connection, call.account_id, at)))


def _balance_told(at: Instant, balance: MicroUsd, owed: MicroUsd | None = None) -> BalanceTold:
    return BalanceTold(
        at=to_rfc3339(at),
        balance=balance_number(balance),
        balance_micros=balance,
        owed=None if owed is None else required_number(owed),
        owed_micros=owed,
        frozen=None if owed is None else owed > 0,
    )


def _place(cursor: Cursor) -> tuple[int, int]:
    position, parted, place = cursor.key.partition("-")
    if not (parted and position.isdecimal() and place.isdecimal() and len(position) <= 18 and len(place) <= 9):
        raise Invalid(fields={"cursor": "is none of this list"})
    return int(position), int(place)


def _key(place: tuple[int, int] | None) -> str | None:
    return None if place is None else f"{place[0]}-{place[1]}"


def _told(one: Shown) -> TransactionTold:
    waived = one.kind == "waived"
    return TransactionTold(
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

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/billing/transactions",
        name="list_transactions",
        tag="billing",
        summary="Where did my money come from, and where did it go",
        description=(
            "Every movement of the balance, newest first, and every minute that was waived. The next page is by"
            " ``cursor``, so that none is missed or told twice while others are recorded."
        ),
        who="account",
        scope="billing:read",
        handle=list_transactions,
        query=TransactionsPage,
        told=(Told(200, "The transactions.", list[TransactionTold], [TRANSACTION_EXAMPLE], PAGE_HEADERS),),
        refusals=(ProjectionBehind,),
    ),
    Endpoint(
        method="GET",
        path="/api/billing/balance",
        name="get_balance",
        tag="billing",
        summary="What is, or was, my balance",
        description=(
            "At any instant since there is the account; before, it is zero. Of now, it is told as well what the account"
            " owes: while that is anything, it is frozen, and what comes in pays it first."
        ),
        who="account",
        scope="billing:read",
        handle=get_balance,
        query=BalanceQuery,
        told=(
            Told(
                200,
                "The balance.",
                BalanceTold,
                {
                    "at": "2026-11-23T17:00:00Z",
                    "balance": 10.5,
                    "balance_micros": 10_500_000,
                    "owed": 0,
                    "owed_micros": 0,
                    "frozen": False,
                },
            ),
        ),
        refusals=(ProjectionBehind,),
    ),
)
