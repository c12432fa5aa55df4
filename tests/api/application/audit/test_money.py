"""An audit finds every forgery of the money: each of these ledgers is wrong in one way, and seen red for it."""

from uuid import UUID

import msgspec
import pytest

from api.application.audit.semantics import SemanticChecks
from domain.events import Event
from domain.ids import AccountId
from domain.payments.events import DisputeLost, RefundSettled, StripeBalanceMoved
from domain.statements.tax import TaxLine
from domain.time import Instant
from domain.wallet.events import (
    BadDebtRecovered,
    DebtWrittenOff,
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    ReceivablePaid,
)
from tests.api.application.audit.ledgers import (
    FIRST,
    NOVEMBER,
    OTHER,
    PAYMENT,
    audited,
    checks_of,
    event_id,
    issued,
    micros,
    minute,
    opened,
    received,
    recorded,
    returned,
    taken,
)
from tests.domain.wallet.wallets import ACCOUNT

ACCOUNT_ID = AccountId(ACCOUNT)
BALANCES = "no minute was ever paid that the balance did not cover"
DEBTS = "nobody owes less than nothing, and nobody who owes has a balance"
ADDED = "every payment that was received was added to its wallet once, and nothing else was"
TAKEN = "of no payment was more taken back than it added, and only that came back"
CORRECTED = "every correction is of an event of its wallet, and undoes no more than that did"
HELD = "no more was paid out for refunds and disputes than had been taken for them"
NUMBERS = "every month's statements are numbered 1, 2, 3 …, one for an account, once it is over"
SUMS = "every statement says what the wallet's events come to, and what of it is tax"
MINUTES = "every minute of a VPS was used once, in order, at its price"

OVER = NOVEMBER.ends
WRONG = (TaxLine("VAT", 19_000, micros(12)),)


def credit(amount: int) -> FundsCredited:
    return FundsCredited(ACCOUNT_ID, UUID(int=1), micros(amount), "a gift")


def corrected(position: int, amount: int, contra: str = "minutes", account: AccountId = ACCOUNT_ID) -> FundsCorrected:
    return FundsCorrected(account, UUID(int=2), event_id(position), contra, micros(amount), "ours")  # type: ignore[arg-type]


def paid_off(amount: int) -> ReceivablePaid:
    return ReceivablePaid(ACCOUNT_ID, micros(amount))


def settled(amount: int, key: str = "re_1") -> RefundSettled:
    return RefundSettled(ACCOUNT_ID, PAYMENT, key, micros(amount))


SOUND: tuple[Event | tuple[Instant, Event], ...] = (
    opened(),
    *received(10_000),  # 2, 3
    credit(1_000),  # 4
    minute(1),  # 5
    corrected(5, 40),  # 6
    corrected(5, 30),  # 7
    corrected(4, -1_000, "goodwill"),  # 8: 10,000 are left
    taken(10_000, key="dp_1"),  # 9
    returned(10_000, key="dp_1"),
    taken(4_000, key="re_1"),
    settled(4_000),
    taken(6_000, key="dp_2", absorbed=500),
    DisputeLost(ACCOUNT_ID, PAYMENT, "dp_2", micros(6_500)),
    credit(70),
    minute(2),
    (OVER, issued("2026-11-000001", 0, 0, 70)),
    credit(5_000),
    (NOVEMBER.following.ends, issued("2026-12-000001", 0, 5_000, 0, NOVEMBER.following)),
)


def test_a_ledger_with_everything_in_it_is_sound() -> None:
    assert audited(*SOUND) == {}


def test_every_check_of_money_has_looked_at_something() -> None:
    seen = {check.promise: check.seen for check in checks_of(*SOUND)}

    assert all(seen[promise] for promise in (BALANCES, ADDED, TAKEN, CORRECTED, HELD, NUMBERS, SUMS, MINUTES))


def test_a_debt_that_is_paid_off_at_once_is_sound() -> None:
    debt = (opened(), *received(10_000), minute(1), taken(9_930, owed=70))

    assert audited(*debt, credit(140), paid_off(70), minute(2)) == {}
    assert audited(*debt, DebtWrittenOff(ACCOUNT_ID, micros(70), "gone"), credit(100), minute(2)) == {}
    assert audited(*debt, DebtWrittenOff(ACCOUNT_ID, micros(70), "gone"), returned(10_000), _recovered(70)) == {}


def _recovered(amount: int) -> BadDebtRecovered:
    return BadDebtRecovered(ACCOUNT_ID, micros(amount))


FORGED: dict[str, tuple[str, str, tuple[Event | tuple[Instant, Event], ...]]] = {
    "a balance below zero": (BALANCES, "the balance falls to -70", (opened(), minute(1))),
    "a clawback below zero": (BALANCES, "falls to -1", (opened(), *received(9), taken(10, key="x"))),
    "a payment added twice": (ADDED, "is added again", (opened(), *received(), received()[1])),
    "a payment received twice": (ADDED, "is received again", (opened(), *received(), received()[0])),
    "a payment never received": (ADDED, "was added and never received", (opened(), received()[1])),
    "a payment never added": (ADDED, "was received and never added", (opened(), received()[0])),
    "a payment of another amount": (
        ADDED,
        "10000 micro-USD were received, 9",
        (opened(), received()[0], received(9)[1]),
    ),
    "a payment in another's wallet": (
        ADDED,
        "were received",
        (opened(), received()[0], FundsAdded(OTHER, PAYMENT, micros(10_000))),
    ),
    "more taken than paid": (TAKEN, "11000 micro-USD are taken", (opened(), *received(), credit(5_000), taken(11_000))),
    "a refund taken twice": (TAKEN, "dp_1 is taken again", (opened(), *received(), taken(100), taken(100))),
    "two refunds of more than the payment": (
        TAKEN,
        "12000 micro-USD are taken",
        (opened(), *received(), credit(5_000), taken(6_000, key="a"), taken(6_000, key="b")),
    ),
    "less than nothing taken": (TAKEN, "less than nothing", (opened(), *received(), taken(-5))),
    "a return of what was not taken": (TAKEN, "of which 0 stood", (opened(), *received(), returned(100))),
    "a return of another amount": (TAKEN, "of which 100 stood", (opened(), *received(), taken(100), returned(101))),
    "a return twice": (
        TAKEN,
        "of which 0 stood",
        (opened(), *received(), taken(100), returned(100), returned(100)),
    ),
    "a loss returned to the customer": (
        TAKEN,
        "more comes back",
        (opened(), *received(), taken(100, absorbed=50), returned(150)),
    ),
    "a refund paid out and never taken": (
        TAKEN,
        "re_1 was paid out and never taken",
        (opened(), *received(), settled(5)),
    ),
    "a dispute lost and never taken": (
        TAKEN,
        "dp_9 was paid out and never taken",
        (opened(), *received(), DisputeLost(ACCOUNT_ID, PAYMENT, "dp_9", micros(5))),
    ),
    "more paid out than taken": (
        HELD,
        "liabilities:refunds-payable: 5 micro-USD too much",
        (opened(), *received(), settled(5)),
    ),
    "more paid off than owed": (DEBTS, "-70 micro-USD are owed", (opened(), credit(100), paid_off(70))),
    "more written off than owed": (
        DEBTS,
        "-70 micro-USD are owed",
        (opened(), DebtWrittenOff(ACCOUNT_ID, micros(70), "gone")),
    ),
    "a balance beside a debt": (
        DEBTS,
        "70 micro-USD are owed, with 5 on the balance",
        (opened(), *received(10_000), minute(1), taken(9_925, owed=70)),
    ),
    "a debt not paid off by what comes in": (
        DEBTS,
        "before it 70 micro-USD are owed, with 100 on the balance",
        (opened(), *received(10_000), minute(1), taken(9_930, owed=70), credit(100), minute(2)),
    ),
    "a debt not paid off at the end": (
        DEBTS,
        "at the end 70 micro-USD are owed",
        (opened(), *received(10_000), minute(1), taken(9_930, owed=70), credit(100)),
    ),
    "a correction of nothing": (CORRECTED, "which is not there", (opened(), corrected(99, 5))),
    "a correction of what is no charge": (
        CORRECTED,
        "which is not there",
        (opened(), *received(), corrected(3, 5)),
    ),
    "a correction beyond the charge": (
        CORRECTED,
        "71 micro-USD put right, where 0 to 70 can be",
        (opened(), credit(100), minute(1), corrected(3, 71)),
    ),
    "two corrections beyond the charge": (
        CORRECTED,
        "80 micro-USD put right",
        (opened(), credit(100), minute(1), corrected(3, 40), corrected(3, 40)),
    ),
    "a correction against the customer of a charge": (
        CORRECTED,
        "-5 micro-USD put right",
        (opened(), credit(100), minute(1), corrected(3, -5)),
    ),
    "a correction beyond the credit": (
        CORRECTED,
        "-101 micro-USD put right, where -100 to 0 can be",
        (opened(), *received(), credit(100), corrected(4, -101, "goodwill")),
    ),
    "a correction booked against the wrong side": (
        CORRECTED,
        "which it cannot",
        (opened(), credit(100), minute(1), corrected(3, 5, "goodwill")),
    ),
    "a correction of another's charge": (
        CORRECTED,
        "which it cannot",
        (opened(), credit(100), minute(1), corrected(3, 5, account=OTHER)),
    ),
    "a correction of what comes later": (
        CORRECTED,
        "which it cannot",
        (opened(), credit(100), corrected(4, 5), minute(1)),
    ),
    "a statement's number left out": (
        NUMBERS,
        "2026-11-000002 is where 2026-11-000001 should be",
        (opened(), (OVER, issued("2026-11-000002", 0, 0, 0))),
    ),
    "a statement before its month was over": (
        NUMBERS,
        "issued before its month was over",
        (opened(), (Instant(OVER - 1), issued("2026-11-000001", 0, 0, 0))),
    ),
    "two statements of a month": (
        NUMBERS,
        "has two statements of 2026-11",
        (opened(), (OVER, issued("2026-11-000001", 0, 0, 0)), issued("2026-11-000002", 0, 0, 0)),
    ),
    "a statement of no month": (
        NUMBERS,
        "'2026-13' is no month",
        (opened(), msgspec.structs.replace(issued("2026-13-000001", 0, 0, 0), month="2026-13")),
    ),
    "a statement with another opening": (
        SUMS,
        "tells (1, 30, 70), and the events come to (0, 30, 70)",
        (opened(), credit(100), minute(1), (OVER, issued("2026-11-000001", 1, 30, 70))),
    ),
    "a statement with another closing": (
        SUMS,
        "tells (0, 31, 70)",
        (opened(), credit(100), minute(1), (OVER, issued("2026-11-000001", 0, 31, 70))),
    ),
    "a statement of other charges": (
        SUMS,
        "tells (0, 30, 71)",
        (opened(), credit(100), minute(1), (OVER, issued("2026-11-000001", 0, 30, 71))),
    ),
    "a statement that counts the next month": (
        SUMS,
        "and the events come to (0, 100, 0)",
        (opened(), credit(100), (OVER, minute(1)), issued("2026-11-000001", 0, 30, 70)),
    ),
    "a statement of another tax": (
        SUMS,
        "the taxes of 2026-11-000001 are not those of 70 micro-USD",
        (
            *(opened(), credit(100), minute(1)),
            (
                OVER,
                msgspec.structs.replace(
                    issued("2026-11-000001", 0, 30, 70), taxes=(TaxLine("VAT", 19_000, micros(12)),)
                ),
            ),
        ),
    ),
}


@pytest.mark.parametrize(("promise", "finding", "events"), FORGED.values(), ids=FORGED.keys())
def test_a_forgery_is_found(promise: str, finding: str, events: tuple[Event | tuple[Instant, Event], ...]) -> None:
    assert finding in " ".join(audited(*events)[promise])


def test_what_waits_for_stripe_is_told_and_no_fault() -> None:
    charge = StripeBalanceMoved("txn_1", "charge", "ch_1", micros(9_000), micros(300), FIRST, FIRST, is_available=False)
    checks = SemanticChecks()
    checks.visit(recorded((opened(), *received(10_000), charge)))

    assert checks.open_items == {"assets:stripe:clearing": 1_000, "assets:stripe:pending": 8_700}
    assert audited(opened(), *received(10_000), charge) == {}
