"""What an account is told of, event by event."""

from functools import reduce
from uuid import UUID, uuid4

import pytest

from domain.alerts.events import AddressGiven, AddressVerified, AlertsEnded, AlertsSwitchedOff, ThresholdsSet
from domain.alerts.following import Due, Happened, Watch, crossed, follow
from domain.compute.events import StopReason, VpsStopRequested
from domain.events import Event
from domain.ids import AccountId, EventId, PaymentId, PlanId, VpsId
from domain.money import MicroUsd
from domain.payments.events import DisputeOpened
from domain.time import Instant
from domain.wallet.events import (
    FundsAdded,
    FundsCorrected,
    FundsCredited,
    FundsTaken,
    MinuteLine,
    MinutesMetered,
    ReceivablePaid,
)

ANN = AccountId(UUID(int=1))
VPS = VpsId(UUID(int=2))
PAYMENT = PaymentId(UUID(int=3))
NOW = Instant(1_000_000)
WATCHED: tuple[Event, ...] = (
    AddressGiven(ANN, "ops@example.com"),
    ThresholdsSet(ANN, (MicroUsd(500), MicroUsd(100))),
    AddressVerified(ANN, UUID(int=9)),
)


def credited(amount: int) -> Event:
    return FundsCredited(ANN, uuid4(), MicroUsd(amount), "a test")


def metered(amount: int) -> Event:
    line = MinuteLine(VPS, 1, 1, NOW, PlanId(UUID(int=7)), 1, MicroUsd(4200), MicroUsd(amount))
    return MinutesMetered(ANN, (line,))


def taken(amount: int, owed: int = 0, absorbed: int = 0) -> Event:
    return FundsTaken(ANN, PAYMENT, "dispute", "dp_1", MicroUsd(amount), MicroUsd(owed), MicroUsd(absorbed))


def told(*events: Event) -> list[Due]:
    """Return all that is to be told after these events."""
    found: list[Due] = []

    def one(watch: Watch, numbered: tuple[int, Event]) -> Watch:
        position, event = numbered
        vps_id = VPS if isinstance(event, VpsStopRequested) else None
        after, due = follow(watch, Happened(event, EventId(UUID(int=position)), ANN, position, NOW, vps_id))
        found.extend(due)
        return after

    reduce(one, enumerate(events, 1), Watch())
    return found


@pytest.mark.parametrize(
    ("before", "after", "threshold"),
    [(501, 500, 500), (501, 499, 500), (501, 501, None), (500, 499, None), (499, 501, None), (501, 100, 100)],
)
def test_a_threshold_is_crossed_from_above_to_it_or_below(before: int, after: int, threshold: int | None) -> None:
    assert crossed(MicroUsd(before), MicroUsd(after), (MicroUsd(500), MicroUsd(100))) == threshold


def test_a_balance_that_falls_to_a_threshold_is_told_once_a_crossing() -> None:
    due = told(credited(600), *WATCHED, metered(100), metered(100), metered(100), metered(200), metered(50))

    assert [(one.kind, one.threshold, one.balance, one.position) for one in due] == [
        ("low-balance", 500, 500, 5),
        ("low-balance", 100, 100, 8),
    ]


def test_above_the_threshold_again_it_is_armed_again() -> None:
    due = told(
        credited(600), *WATCHED, metered(200), credited(200), metered(200), FundsAdded(ANN, PAYMENT, MicroUsd(9))
    )

    assert [one.position for one in due] == [5, 7]


def test_what_a_debt_takes_of_what_comes_in_crosses_nothing() -> None:
    assert told(*WATCHED, FundsAdded(ANN, PAYMENT, MicroUsd(1000)), ReceivablePaid(ANN, MicroUsd(990))) == []


def test_a_correction_may_cross_a_threshold() -> None:
    correction = FundsCorrected(ANN, uuid4(), EventId(UUID(int=1)), "goodwill", MicroUsd(-200), "a mistake")

    assert [one.threshold for one in told(credited(600), *WATCHED, correction)] == [500]


@pytest.mark.parametrize(
    ("reason", "kind"), [("unpaid", "vps-unpaid"), ("limit", "vps-limit"), ("frozen", "vps-frozen")]
)
def test_a_vps_that_is_stopped_for_want_of_funds_is_told(reason: StopReason, kind: str) -> None:
    (due,) = told(credited(600), *WATCHED, VpsStopRequested(reason, 1, NOW))

    assert (due.kind, due.vps_id, due.balance, due.cause) == (kind, VPS, 600, UUID(int=5))


@pytest.mark.parametrize("reason", ["requested", "expired"])
def test_a_vps_that_stops_for_another_reason_is_not_told(reason: StopReason) -> None:
    assert told(credited(600), *WATCHED, VpsStopRequested(reason, 1, NOW)) == []


def test_a_dispute_is_told_once_with_what_it_leaves_of_the_balance() -> None:
    dispute = DisputeOpened(ANN, PAYMENT, "dp_1", MicroUsd(50), MicroUsd(0), MicroUsd(0), inquiry=False)

    due = told(credited(600), *WATCHED, dispute, taken(40, absorbed=10))

    assert [(one.kind, one.amount, one.balance, one.position) for one in due] == [("dispute-opened", 50, 560, 6)]


def test_a_dispute_is_told_and_a_debt_that_freezes_the_account() -> None:
    dispute = DisputeOpened(ANN, PAYMENT, "dp_1", MicroUsd(900), MicroUsd(300), MicroUsd(0), inquiry=False)

    due = told(credited(600), *WATCHED, dispute, taken(600, owed=300))

    assert [(one.kind, one.amount, one.balance) for one in due] == [
        ("account-frozen", 300, 0),
        ("dispute-opened", 900, 0),
        ("low-balance", None, 0),
    ]


def test_a_refund_is_no_dispute() -> None:
    refund = FundsTaken(ANN, PAYMENT, "refund", "re_1", MicroUsd(10), MicroUsd(0), MicroUsd(0))

    assert told(credited(600), *WATCHED, refund) == []


def test_a_bank_that_only_asks_is_not_told_of() -> None:
    inquiry = DisputeOpened(ANN, PAYMENT, "dp_1", MicroUsd(900), MicroUsd(0), MicroUsd(0), inquiry=True)

    assert told(credited(600), *WATCHED, inquiry) == []


def test_nothing_is_told_before_the_address_is_verified_nor_what_happened_before() -> None:
    address, thresholds, verified = WATCHED

    assert told(credited(600), address, thresholds, metered(550), verified, metered(10)) == []


@pytest.mark.parametrize("event", [AddressGiven(ANN, "other@example.com"), AlertsSwitchedOff(ANN), AlertsEnded(ANN)])
def test_nothing_is_told_once_another_address_is_given_or_none_or_the_account_closed(event: Event) -> None:
    assert told(credited(600), *WATCHED, event, metered(550), VpsStopRequested("unpaid", 1, NOW)) == []
