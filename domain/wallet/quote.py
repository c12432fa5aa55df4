"""A quote: what switching a VPS on would come to, found out by the very decision that would do it."""

from collections.abc import Callable

import msgspec

from domain.deciding import Decision
from domain.errors import Refusal
from domain.ids import PlanId, TokenId, VpsId
from domain.money import ZERO, MicroUsd
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.forecast import exhausts_at
from domain.wallet.funds import (
    AccountFrozen,
    InsufficientBalance,
    TokenSpendLimitReached,
    required_balance,
    required_of_limit,
)
from domain.wallet.meter import Meter
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimitReached
from domain.wallet.wallet import Wallet

NotAdmitted = AccountFrozen | InsufficientBalance | TokenSpendLimitReached | VpsLimitReached | VpsDiskLimitReached
"""Why an account may not have a VPS on; what else is wrong with a request is no matter of a quote."""
NOT_ADMITTED = (AccountFrozen, InsufficientBalance, TokenSpendLimitReached, VpsLimitReached, VpsDiskLimitReached)


class Quote(msgspec.Struct, frozen=True):
    """What switching a VPS on would come to; nothing is recorded."""

    price_hourly: MicroUsd
    required: MicroUsd
    """What the balance must be: an hour of this VPS and of each that is on."""
    refusal: Refusal | None
    """What the real request would be refused with; None where it would be accepted."""
    changes: bool
    """Whether anything would be recorded: what is on already is not switched on."""
    shortfall: MicroUsd
    """What has to be paid in for the account to be admitted: what it owes, and what the balance then lacks."""
    owed: MicroUsd
    """What the account owes, so that it is frozen; it is part of the shortfall."""
    token_left: MicroUsd | None
    """What may still be spent by the limit of the token that the VPS counts against; None: it has none."""
    token_required: MicroUsd | None
    """What must be left of that limit: an hour of this VPS and of each of that token that is on."""
    lasts_until: Instant | None
    """When the balance will not cover a minute any more with this VPS on as well; None: in no foreseeable time."""


def quote(
    wallet: Wallet,
    book: PriceBook,
    vps_id: VpsId,
    plan_id: PlanId,
    now: Instant,
    token_id: TokenId | None,
    decide: Callable[[], Decision],
) -> Quote:
    """Return what ``decide`` would come to, which is to switch on this VPS. Raises what is no ``NotAdmitted``.

    ``token_id``: the token that the VPS counts against.
    """
    refusal, changes = None, False
    try:
        changes = bool(decide().events)
    except NOT_ADMITTED as no:
        refusal = no
    before = wallet.meters.get(vps_id)
    others = msgspec.structs.replace(wallet, meters={id_: one for id_, one in wallet.meters.items() if id_ != vps_id})
    on = before if before is not None and before.on else _switched_on(before, vps_id, plan_id, now)
    required = required_balance(others, book, plan_id, now)
    left = _left_of_token(wallet, token_id, now)
    return Quote(
        price_hourly=book.in_force(plan_id, now).price_hourly,
        required=required,
        refusal=refusal,
        changes=changes,
        shortfall=_shortfall(wallet, required, refusal),
        owed=wallet.receivable,
        token_left=left,
        token_required=None
        if left is None or token_id is None
        else required_of_limit(others, book, token_id, plan_id, now),
        lasts_until=exhausts_at(msgspec.structs.replace(wallet, meters={**wallet.meters, vps_id: on}), book, now),
    )


def _switched_on(before: Meter | None, vps_id: VpsId, plan_id: PlanId, now: Instant) -> Meter:
    on = Meter(vps_id=vps_id, generation=0, plan_id=plan_id, token_id=None, created_at=now)
    if before is None:
        return on
    return msgspec.structs.replace(
        on,
        created_at=before.created_at,
        used_n=before.used_n,
        next_at=before.paid_until if before.paid_plan_id == plan_id else None,
    )


def _left_of_token(wallet: Wallet, token_id: TokenId | None, now: Instant) -> MicroUsd | None:
    limit = None if token_id is None else wallet.limits.get(token_id)
    return None if limit is None else limit.left(now)


def _shortfall(wallet: Wallet, required: MicroUsd, refusal: NotAdmitted | None) -> MicroUsd:
    match refusal:
        case None | TokenSpendLimitReached() | VpsLimitReached() | VpsDiskLimitReached():
            return ZERO  # No funds would mend a limit.
        case AccountFrozen() | InsufficientBalance():
            # What comes in pays the debt first, and only what is left of it is there for the VPS.
            return MicroUsd(wallet.receivable + max(0, required - wallet.balance))
