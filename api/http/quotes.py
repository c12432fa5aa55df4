"""Quotes over HTTP: what a request would come to, asked with ``dry_run``."""

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from api.http.bridge import Answer, told
from api.http.pipeline.errors import STATUS
from api.http.rendering import (
    Amount,
    Balance,
    Micros,
    Required,
    Time,
    amount_number,
    balance_number,
    optional_amount,
    optional_time,
    required_number,
)
from domain.deciding import Decision
from domain.ids import TokenId, VpsId
from domain.pricing.price_book import Plan, PriceBook
from domain.time import MINUTE, Instant
from domain.wallet.quote import quote
from domain.wallet.wallet import Wallet


class DryRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it is meant."""

    dry_run: Annotated[
        bool, msgspec.Meta(description="``true``: only tell what it would come to; nothing is done or recorded.")
    ] = False


class QuoteTold(msgspec.Struct, frozen=True, kw_only=True):
    """What a request would come to; nothing was done."""

    dry_run: Literal[True] = True
    plan_id: UUID
    plan: str
    """Its name."""
    price_hourly: Amount
    balance: Balance
    balance_micros: Micros
    required: Required
    """What the account's balance must be: an hour of this VPS and of each that is on; rounded up."""
    sufficient: bool
    would_be: int
    """The status of the real answer."""
    code: str | None
    """Of the refusal that it would be."""
    error: str | None
    shortfall: Amount
    """What has to be paid in for the account: what it owes, and what the balance then lacks. No funds mend a limit."""
    owed: Amount
    """What the account owes, which is why it is frozen; it is part of the shortfall."""
    token_left: Amount | None
    """What is left of the limit of the token that the VPS counts against; null where it has none."""
    token_required: Amount | None
    """What must be left of it: an hour of this VPS and of each of that token that is on."""
    lasts_until: Time | None
    """When the balance will not cover a minute any more, with this VPS and all others that are on."""
    lasts_minutes: int | None
    """The same as whole minutes from now on."""


QUOTE_EXAMPLE: dict[str, Any] = {
    "dry_run": True,
    "plan_id": "01937b1e-5c00-7000-8000-0000000000aa",
    "plan": "Nano",
    "price_hourly": 0.0042,
    "balance": 10.5,
    "balance_micros": 10_500_000,
    "required": 0.0042,
    "sufficient": True,
    "would_be": 201,
    "code": None,
    "error": None,
    "shortfall": 0,
    "owed": 0,
    "token_left": None,
    "token_required": None,
    "lasts_until": "2027-03-07T21:00:00Z",
    "lasts_minutes": 150_000,
}


def quoted(
    wallet: Wallet,
    book: PriceBook,
    vps_id: VpsId,
    plan: Plan,
    now: Instant,
    decide: Callable[[], Decision],
    *,
    token_id: TokenId | None,
    accepted: int,
) -> Answer:
    """Tell what switching a VPS on would come to.

    ``token_id``: the token that it counts against; ``accepted``: the status where something would change.
    """
    made = quote(wallet, book, vps_id, plan.id, now, token_id, decide)
    refusal = made.refusal
    would_be = STATUS[type(refusal)] if refusal is not None else accepted if made.changes else 200
    lasts = None if made.lasts_until is None else max(0, made.lasts_until - now) // MINUTE
    answer = told(
        200,
        QuoteTold(
            plan_id=plan.id,
            plan=plan.name,
            price_hourly=amount_number(made.price_hourly),
            balance=balance_number(wallet.balance),
            balance_micros=wallet.balance,
            required=required_number(made.required),
            sufficient=refusal is None,
            would_be=would_be,
            code=None if refusal is None else refusal.code,
            error=None if refusal is None else refusal.sentence,
            shortfall=amount_number(made.shortfall),
            owed=amount_number(made.owed),
            token_left=optional_amount(made.token_left),
            token_required=optional_amount(made.token_required),
            lasts_until=optional_time(made.lasts_until),
            lasts_minutes=lasts,
        ),
    )
    return msgspec.structs.replace(answer, balance=wallet.balance, wallet=wallet)
