"""A statement: what moved in a wallet in a month, by recorded time, and what it comes to."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Literal, assert_never

import msgspec

from domain.events import Event
from domain.ids import AccountId, EventId, PaymentId, PlanId, VpsId
from domain.money import ZERO, MicroUsd
from domain.statements.month import Month
from domain.time import Instant
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
    WaiveCause,
)

EntryKind = Literal[
    "payment",
    "credit",
    "correction",
    "refund",
    "refund_returned",
    "dispute",
    "dispute_returned",
    "debt_paid",
    "debt_written_off",
    "bad_debt_recovered",
]
Single = (
    FundsAdded
    | FundsCredited
    | FundsCorrected
    | FundsTaken
    | FundsReturned
    | ReceivablePaid
    | DebtWrittenOff
    | BadDebtRecovered
)
"""Events of a wallet that are entries by themselves."""
_KIND_BY_CAUSE: dict[TakenCause | ReturnedCause, EntryKind] = {
    "refund": "refund",
    "outside-refund": "refund",
    "dispute": "dispute",
    "refund-failed": "refund_returned",
    "dispute-won": "dispute_returned",
}


class Entry(msgspec.Struct, frozen=True):
    """One event of the wallet: by how much it moved the balance, and what the account owes."""

    event_id: EventId
    at: Instant
    """When it was recorded."""
    kind: EntryKind
    amount: MicroUsd
    owed: MicroUsd = ZERO
    """By how much it moved what the account owes; above zero it owes more."""
    payment_id: PaymentId | None = None
    corrects: EventId | None = None
    of_charge: bool = False
    """Whether it puts a charge right, and not a credit."""
    reason: str | None = None
    """Why an operator did it; sealed wherever it is kept."""


class Minutes(msgspec.Struct, frozen=True):
    """Minutes of one VPS at one price of one plan, all of the month together."""

    vps_id: VpsId
    plan_id: PlanId
    price_version: int
    price_hourly: MicroUsd
    cause: WaiveCause | None
    """Why nobody paid; None where they were paid."""
    minutes: int
    n_from: int
    """The first of them; between it and the last may be some that are in another line."""
    n_to: int
    amount: MicroUsd
    """What they cost, or would have cost."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What moved in a wallet in a month. ``opening`` and all entries and charges together are ``closing``, exactly."""

    account_id: AccountId
    month: Month
    opening: MicroUsd
    opening_owed: MicroUsd
    entries: tuple[Entry, ...]
    """In the order in which they were recorded."""
    charged: tuple[Minutes, ...]
    waived: tuple[Minutes, ...]
    """Nobody paid these; they are told for completeness, and no part of any sum."""

    @property
    def closing(self) -> MicroUsd:
        """The balance at the end of the month."""
        return MicroUsd(self.opening + sum(self.totals.values()))

    @property
    def closing_owed(self) -> MicroUsd:
        """What the account owed at the end of the month."""
        return MicroUsd(self.opening_owed + sum(entry.owed for entry in self.entries))

    @property
    def totals(self) -> dict[str, MicroUsd]:
        """By how much all entries of one kind moved the balance; ``minutes`` for what they cost."""
        totals: defaultdict[str, MicroUsd] = defaultdict(lambda: ZERO)
        for entry in self.entries:
            totals[entry.kind] = MicroUsd(totals[entry.kind] + entry.amount)
        if self.charged:
            totals["minutes"] = MicroUsd(-sum(line.amount for line in self.charged))
        return dict(totals)

    @property
    def charges(self) -> MicroUsd:
        """What was charged for minutes, less what of charges was put right: what the taxes are a part of."""
        put_right = sum(entry.amount for entry in self.entries if entry.of_charge)
        return MicroUsd(sum(line.amount for line in self.charged) - put_right)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened in the month."""
        return not (self.entries or self.charged or self.waived)


def entry_of(event: Single, event_id: EventId, at: Instant) -> Entry:
    """Return the entry that an event is."""
    entry = partial(Entry, event_id, at)
    match event:
        case FundsAdded():
            return entry("payment", event.amount, payment_id=event.payment_id)
        case FundsCredited():
            return entry("credit", event.amount, reason=event.reason)
        case FundsCorrected():
            of_charge = event.contra == "minutes"
            return entry("correction", event.amount, corrects=event.corrects, of_charge=of_charge, reason=event.reason)
        case FundsTaken():
            kind = _KIND_BY_CAUSE[event.cause]
            return entry(kind, MicroUsd(-event.taken), event.owed, payment_id=event.payment_id)
        case FundsReturned():
            return entry(_KIND_BY_CAUSE[event.cause], event.amount, payment_id=event.payment_id)
        case ReceivablePaid():
            return entry("debt_paid", MicroUsd(-event.amount), MicroUsd(-event.amount))
        case DebtWrittenOff():
            return entry("debt_written_off", ZERO, MicroUsd(-event.amount), reason=event.reason)
        case BadDebtRecovered():
            return entry("bad_debt_recovered", MicroUsd(-event.amount))
        case _:
            assert_never(event)


def folded_minutes(events: Iterable[Event]) -> tuple[Minutes, ...]:
    """Return the minutes of events a line for each VPS, plan, price and cause, in the order of their beginnings."""
    folded: dict[tuple[object, ...], Minutes] = {}
    for event in events:
        if isinstance(event, MinutesMetered | MinutesWaived):
            cause = event.cause if isinstance(event, MinutesWaived) else None
            for line in event.lines:
                key = (line.vps_id, line.plan_id, line.price_version, cause)
                folded[key] = _with_line(folded.get(key), line, cause)
    return tuple(folded.values())


def _with_line(minutes: Minutes | None, line: MinuteLine, cause: WaiveCause | None) -> Minutes:
    return Minutes(
        line.vps_id,
        line.plan_id,
        line.price_version,
        line.price_hourly,
        cause,
        (minutes.minutes if minutes else 0) + line.n_to - line.n_from + 1,
        min(minutes.n_from, line.n_from) if minutes else line.n_from,
        max(minutes.n_to, line.n_to) if minutes else line.n_to,
        MicroUsd((minutes.amount if minutes else 0) + line.amount),
    )
