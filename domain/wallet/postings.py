"""Postings: what an event means in double entry, as a pure function of the event alone."""

from typing import assert_never
from uuid import UUID

import msgspec

from domain.events import Event
from domain.money import MicroUsd
from domain.wallet.events import FundsCredited, MinuteLine, MinutesMetered, MinutesWaived

POSTINGS_VERSION = 1
"""Raised whenever the same event comes to other postings than before."""

GOODWILL = "expenses:goodwill"
WAIVED_CONTRA = "memo:waived:contra"


class Posting(msgspec.Struct, frozen=True):
    """An amount on an account of the books: positive is debit, negative is credit."""

    account: str
    amount: MicroUsd


MoneyEvent = FundsCredited | MinutesMetered | MinutesWaived


def postings(event: Event) -> tuple[Posting, ...]:
    """Return what an event posts, which sums to zero; nothing for an event that moves no money."""
    if not isinstance(event, MoneyEvent):
        return ()
    match event:
        case FundsCredited():
            return _moved(event.amount, debit=GOODWILL, credit=prepaid(event.account_id))
        case MinutesMetered():
            return tuple(
                posting
                for plan_id, amount in _amount_by_plan(event.lines)
                for posting in _moved(amount, debit=prepaid(event.account_id), credit=revenue(plan_id))
            )
        case MinutesWaived():
            return tuple(
                posting
                for plan_id, amount in _amount_by_plan(event.lines)
                for posting in _moved(amount, debit=waived(event.cause, plan_id), credit=WAIVED_CONTRA)
            )
        case _:
            assert_never(event)


def prepaid(account_id: UUID) -> str:
    """Name what is owed to a customer: minus its sum is the balance of the wallet."""
    return f"liabilities:prepaid:{account_id}"


def revenue(plan_id: UUID) -> str:
    """Name what was earned by minutes of a plan."""
    return f"revenue:minutes:{plan_id}"


def waived(cause: str, plan_id: UUID) -> str:
    """Name what minutes of a plan would have cost that nobody pays: a memo, no part of the result."""
    return f"memo:waived:{cause}:{plan_id}"


def _amount_by_plan(lines: tuple[MinuteLine, ...]) -> list[tuple[UUID, MicroUsd]]:
    amounts: dict[UUID, MicroUsd] = {}
    for line in lines:
        amounts[line.plan_id] = MicroUsd(amounts.get(line.plan_id, 0) + line.amount)
    return sorted(amounts.items())


def _moved(amount: MicroUsd, *, debit: str, credit: str) -> tuple[Posting, ...]:
    if not amount:
        return ()
    return Posting(debit, amount), Posting(credit, MicroUsd(-amount))
