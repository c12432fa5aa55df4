"""Postings: what an event means in double entry, as a pure function of the event alone."""

from typing import assert_never
from uuid import UUID

from domain.books import chart
from domain.books.posting import Posting, moved
from domain.books.stripe_postings import StripeSide, stripe_postings
from domain.events import Event
from domain.money import MicroUsd
from domain.statements.events import StatementIssued
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsReturned,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
    ReturnedCause,
    TakenCause,
)

POSTINGS_VERSION = 1
"""Raised whenever the same event comes to other postings than before."""

WalletSide = (
    FundsAdded
    | FundsCredited
    | FundsCorrected
    | FundsTaken
    | FundsReturned
    | ReceivablePaid
    | DebtWrittenOff
    | BadDebtRecovered
    | MinutesMetered
    | MinutesWaived
)
MoneyEvent = WalletSide | StripeSide | StatementIssued

_HELD_FOR: dict[TakenCause | ReturnedCause, str] = {
    "refund": chart.REFUNDS_PAYABLE,
    "outside-refund": chart.REFUNDS_PAYABLE,
    "refund-failed": chart.REFUNDS_PAYABLE,
    "dispute": chart.DISPUTE_RESERVE,
    "dispute-won": chart.DISPUTE_RESERVE,
}
"""Where what was taken from a customer waits until Stripe has paid it out, or it comes back."""
_CORRECTED_AGAINST = {"minutes": chart.CORRECTIONS, "goodwill": chart.GOODWILL}


def postings(event: Event) -> tuple[Posting, ...]:
    """Return what an event posts, which sums to zero; nothing for an event that moves no money."""
    if isinstance(event, WalletSide):
        return _wallet_postings(event)
    if isinstance(event, StripeSide):
        return stripe_postings(event)
    if isinstance(event, StatementIssued):
        return tuple(
            posting
            for line in event.taxes
            for posting in moved(line.amount, debit=chart.TAX_INCLUDED, credit=chart.tax(line.name))
        )
    return ()


def _wallet_postings(event: WalletSide) -> tuple[Posting, ...]:
    prepaid = chart.prepaid(event.account_id)
    match event:
        case FundsAdded():
            return moved(event.amount, debit=chart.CLEARING, credit=prepaid)
        case FundsCredited():
            return moved(event.amount, debit=chart.GOODWILL, credit=prepaid)
        case FundsCorrected():
            return moved(event.amount, debit=_CORRECTED_AGAINST[event.contra], credit=prepaid)
        case FundsTaken():
            held = _HELD_FOR[event.cause]
            return (
                *moved(event.taken, debit=prepaid, credit=held),
                *moved(event.owed, debit=chart.receivable(event.account_id), credit=held),
                *moved(event.absorbed, debit=chart.PAYMENT_LOSSES, credit=held),
            )
        case FundsReturned():
            held = _HELD_FOR[event.cause]
            return (
                *moved(event.amount, debit=held, credit=prepaid),
                *moved(event.absorbed, debit=held, credit=chart.PAYMENT_LOSSES),
            )
        case ReceivablePaid():
            return moved(event.amount, debit=prepaid, credit=chart.receivable(event.account_id))
        case DebtWrittenOff():
            return moved(event.amount, debit=chart.BAD_DEBT, credit=chart.receivable(event.account_id))
        case BadDebtRecovered():
            return moved(event.amount, debit=prepaid, credit=chart.BAD_DEBT)
        case MinutesMetered() | MinutesWaived():
            return _minute_postings(event)
        case _:
            assert_never(event)


def _minute_postings(event: MinutesMetered | MinutesWaived) -> tuple[Posting, ...]:
    postings: list[Posting] = []
    for plan_id, amount in _amount_by_plan(event.lines):
        if isinstance(event, MinutesMetered):
            debit, credit = chart.prepaid(event.account_id), chart.revenue(plan_id)
        else:
            debit, credit = chart.waived(event.cause, plan_id), chart.WAIVED_CONTRA
        postings += moved(amount, debit=debit, credit=credit)
    return tuple(postings)


def _amount_by_plan(lines: tuple[MinuteLine, ...]) -> list[tuple[UUID, MicroUsd]]:
    amounts: dict[UUID, MicroUsd] = {}
    for line in lines:
        amounts[line.plan_id] = MicroUsd(amounts.get(line.plan_id, 0) + line.amount)
    return sorted(amounts.items())
