"""A statement tells every movement of a month by itself, and minutes a line for each price of a VPS."""

from uuid import UUID

import pytest

from domain.events import Event
from domain.ids import AccountId, EventId, PaymentId
from domain.money import MicroUsd
from domain.statements.month import Month
from domain.statements.statement import Entry, Minutes, Single, Statement, entry_of, folded_minutes
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
)
from tests.domain.wallet.wallets import ACCOUNT, LARGE, MAIL, SMALL, T0, WEB

PAYMENT = PaymentId(UUID(int=41))
EARLIER = EventId(UUID(int=51))
HERE = EventId(UUID(int=52))


def micros(amount: int) -> MicroUsd:
    return MicroUsd(amount)


def line(n_from: int, n_to: int, amount: int, vps: UUID = WEB, version: int = 1, plan: UUID = SMALL) -> MinuteLine:
    return MinuteLine(vps, n_from, n_to, T0, plan, version, micros(4_200), micros(amount))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("event", "kind", "amount", "owed"),
    [
        (FundsAdded(ACCOUNT, PAYMENT, micros(50)), "payment", 50, 0),
        (FundsCredited(ACCOUNT, UUID(int=1), micros(50), "a gift"), "credit", 50, 0),
        (FundsTaken(ACCOUNT, PAYMENT, "refund", "r", micros(30), micros(0), micros(0)), "refund", -30, 0),
        (FundsTaken(ACCOUNT, PAYMENT, "outside-refund", "r", micros(30), micros(5), micros(2)), "refund", -30, 5),
        (FundsTaken(ACCOUNT, PAYMENT, "dispute", "d", micros(30), micros(20), micros(0)), "dispute", -30, 20),
        (FundsReturned(ACCOUNT, PAYMENT, "refund-failed", "r", micros(30), micros(0)), "refund_returned", 30, 0),
        (FundsReturned(ACCOUNT, PAYMENT, "dispute-won", "d", micros(50), micros(0)), "dispute_returned", 50, 0),
        (ReceivablePaid(ACCOUNT, micros(20)), "debt_paid", -20, -20),
        (DebtWrittenOff(ACCOUNT, micros(20), "gone"), "debt_written_off", 0, -20),
        (BadDebtRecovered(ACCOUNT, micros(20)), "bad_debt_recovered", -20, 0),
        (FundsCorrected(ACCOUNT, UUID(int=1), EARLIER, "minutes", micros(7), "ours"), "correction", 7, 0),
        (FundsCorrected(ACCOUNT, UUID(int=1), EARLIER, "goodwill", micros(-7), "typo"), "correction", -7, 0),
    ],
)
def test_each_movement_is_an_entry_by_itself(event: Single, kind: str, amount: int, owed: int) -> None:
    entry = entry_of(event, HERE, T0)

    assert (entry.event_id, entry.at, entry.kind, entry.amount, entry.owed) == (HERE, T0, kind, amount, owed)


def test_a_correction_tells_what_it_puts_right_and_why() -> None:
    entry = entry_of(FundsCorrected(ACCOUNT, UUID(int=1), EARLIER, "minutes", micros(7), "ours"), HERE, T0)

    assert (entry.corrects, entry.of_charge, entry.reason) == (EARLIER, True, "ours")
    credit = FundsCorrected(ACCOUNT, UUID(int=1), EARLIER, "goodwill", micros(-7), "typo")
    assert not entry_of(credit, HERE, T0).of_charge


def test_minutes_are_a_line_for_each_vps_plan_price_and_cause() -> None:
    events: list[Event] = [
        MinutesMetered(ACCOUNT, (line(1, 3, 210), line(1, 1, 70, MAIL))),
        MinutesWaived(ACCOUNT, "unproven", (line(4, 4, 70),)),
        MinutesMetered(ACCOUNT, (line(5, 6, 140), line(7, 7, 90, version=2), line(8, 8, 1_000, plan=LARGE))),
    ]

    assert folded_minutes(events) == (
        Minutes(WEB, SMALL, 1, micros(4_200), None, 5, 1, 6, micros(350)),
        Minutes(MAIL, SMALL, 1, micros(4_200), None, 1, 1, 1, micros(70)),
        Minutes(WEB, SMALL, 1, micros(4_200), "unproven", 1, 4, 4, micros(70)),
        Minutes(WEB, SMALL, 2, micros(4_200), None, 1, 7, 7, micros(90)),
        Minutes(WEB, LARGE, 1, micros(4_200), None, 1, 8, 8, micros(1_000)),
    )


def statement(*entries: Entry, charged: int = 0, waived: int = 0) -> Statement:
    def minutes(amount: int) -> tuple[Minutes, ...]:
        return (Minutes(WEB, SMALL, 1, micros(4_200), None, 1, 1, 1, micros(amount)),) if amount else ()

    return Statement(
        account_id=AccountId(ACCOUNT),
        month=Month(2026, 11),
        opening=micros(100),
        opening_owed=micros(5),
        entries=entries,
        charged=minutes(charged),
        waived=minutes(waived),
    )


def test_opening_and_everything_in_between_is_closing() -> None:
    told = statement(
        Entry(HERE, Instant(T0), "payment", micros(50)),
        Entry(HERE, Instant(T0), "debt_paid", micros(-5), micros(-5)),
        Entry(HERE, Instant(T0), "correction", micros(7), of_charge=True),
        Entry(HERE, Instant(T0), "correction", micros(-2)),
        Entry(HERE, Instant(T0), "payment", micros(20)),
        charged=33,
        waived=1_000,
    )

    assert told.totals == {"payment": 70, "debt_paid": -5, "correction": 5, "minutes": -33}
    assert (told.closing, told.closing_owed) == (137, 0)
    assert told.charges == 26


def test_a_month_in_which_nothing_happened_is_empty() -> None:
    assert statement().is_empty
    assert (statement().closing, statement().totals, statement().charges) == (100, {}, 0)
    assert not statement(waived=70).is_empty
