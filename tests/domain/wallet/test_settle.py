"""Settling: which minutes are due, who pays first, and what becomes of those who cannot."""

from uuid import UUID

import pytest

from domain.ids import VpsId
from domain.money import MicroUsd
from domain.pricing.events import PlanRepriced
from domain.time import Instant
from domain.wallet.events import MeterClosed, MinutesMetered, VpsReleased
from domain.wallet.metering import LINES_MAX, Settlement, settle
from tests.domain.wallet.wallets import (
    BOOK,
    JOBS,
    LARGE,
    MAIL,
    SMALL,
    T0,
    WEB,
    admitted,
    after,
    events_of,
    given,
    minutes,
    paid,
    price_book,
    proof,
    running,
    settled,
    waived,
)


def test_the_first_minute_is_due_at_the_first_login() -> None:
    settlement = settle(given(*running(), funds=4_200), {WEB: proof(0)}, BOOK, T0)

    assert paid(settlement.events) == [(WEB, 1, 1, 70)]


def test_the_next_minute_is_due_sixty_seconds_later() -> None:
    wallet = given(*running(), funds=4_200)

    assert paid(settle(wallet, {WEB: proof(1 - 1e-6)}, BOOK, minutes(5)).events) == [(WEB, 1, 1, 70)]
    assert paid(settle(wallet, {WEB: proof(1)}, BOOK, minutes(5)).events) == [(WEB, 1, 2, 140)]


def test_a_vps_that_boots_costs_nothing() -> None:
    assert settle(given(admitted(), funds=4_200), {WEB: proof(5)}, BOOK, minutes(5)) == Settlement()


def test_nothing_is_charged_beyond_the_last_proof() -> None:
    assert settle(given(*running(), funds=4_200), {}, BOOK, minutes(5)) == Settlement()


def test_the_proof_of_another_start_proves_nothing() -> None:
    wallet = given(*running(generation=2), funds=4_200)

    assert settle(wallet, {WEB: proof(5, generation=1)}, BOOK, minutes(5)) == Settlement()


def test_no_minute_is_due_from_the_release_on() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(2), "stop"), funds=4_200)

    assert paid(settle(wallet, {WEB: proof(9)}, BOOK, minutes(9)).events) == [(WEB, 1, 2, 140)]


def test_what_is_settled_is_settled() -> None:
    wallet = given(*running(), funds=4_200)

    wallet = after(wallet, *settle(wallet, {WEB: proof(3)}, BOOK, minutes(3)).events)

    assert settle(wallet, {WEB: proof(3)}, BOOK, minutes(3)) == Settlement()


def test_a_clock_that_stepped_back_charges_nothing_twice() -> None:
    wallet = given(*running(), funds=4_200)
    wallet = after(wallet, *settle(wallet, {WEB: proof(3)}, BOOK, minutes(3)).events)

    assert settle(wallet, {WEB: proof(3)}, BOOK, minutes(1)) == Settlement()


@pytest.mark.parametrize("hourly", [1, 59, 61, 997, 83_333])
def test_sixty_minutes_cost_the_hourly_price_ticked_one_by_one(hourly: int) -> None:
    book, wallet = price_book(small=hourly), given(*running(), funds=hourly)

    for now in range(60):
        settlement = settle(wallet, {WEB: proof(now)}, book, minutes(now))
        wallet = after(wallet, *settlement.events)

    assert wallet.balance == 0
    assert wallet.meters[WEB].used_n == 60


def test_minutes_are_caught_up_over_any_length_as_one_line() -> None:
    year = 365 * 24 * 60

    rounds = settled(given(*running(), funds=4_200 * 24 * 366), {WEB: proof(year)}, year)

    assert paid(events_of(rounds)) == [(WEB, 1, year + 1, 4_200 * 24 * 365 + 70)]


def test_a_minute_costs_what_was_in_force_when_it_began() -> None:
    book = price_book(PlanRepriced(SMALL, 2, MicroUsd(6_000), minutes(2)))

    rounds = settled(given(*running(), funds=10_000), {WEB: proof(3)}, 3, book)

    assert paid(events_of(rounds)) == [(WEB, 1, 2, 140), (WEB, 3, 4, 200)]


def test_a_price_that_changes_within_a_minute_counts_from_the_next() -> None:
    book = price_book(PlanRepriced(SMALL, 2, MicroUsd(6_000), Instant(minutes(2) + 1)))

    rounds = settled(given(*running(), funds=10_000), {WEB: proof(3)}, 3, book)

    assert paid(events_of(rounds)) == [(WEB, 1, 3, 210), (WEB, 4, 4, 100)]


def test_of_prices_that_change_twice_within_a_minute_only_the_last_is_charged() -> None:
    first = PlanRepriced(SMALL, 2, MicroUsd(60_000), Instant(minutes(1) + 1))
    second = PlanRepriced(SMALL, 3, MicroUsd(6_000), Instant(minutes(1) + 2))

    rounds = settled(given(*running(), funds=10_000), {WEB: proof(2)}, 2, price_book(first, second))

    assert paid(events_of(rounds)) == [(WEB, 1, 2, 140), (WEB, 3, 3, 100)]


def test_a_vps_that_cannot_pay_its_next_minute_is_stopped_and_that_minute_waived() -> None:
    rounds = settled(given(*running(), funds=140), {WEB: proof(5)}, 5)

    assert paid(events_of(rounds)) == [(WEB, 1, 2, 140)]
    assert waived(events_of(rounds)) == [("unpaid", WEB, 3, 3)]
    assert [one.stops for one in rounds] == [((WEB, 1, "unpaid"),)]
    assert events_of(rounds)[-1] == VpsReleased(WEB, 1, minutes(2), "unpaid")


def test_a_cheaper_vps_goes_on_with_what_is_left() -> None:
    wallet = given(*running(WEB, LARGE), *running(MAIL, SMALL), funds=1_000 + 3 * 70)

    rounds = settled(wallet, {WEB: proof(2), MAIL: proof(2)}, 2)

    assert paid(events_of(rounds)) == [(WEB, 1, 1, 1_000), (MAIL, 1, 3, 210)]
    assert waived(events_of(rounds)) == [("unpaid", WEB, 2, 2)]


def test_of_minutes_due_at_one_instant_the_older_vps_pays_first() -> None:
    wallet = given(*running(WEB, created=-1), *running(MAIL, created=-2), funds=70)

    rounds = settled(wallet, {WEB: proof(0), MAIL: proof(0)}, 0)

    assert paid(events_of(rounds)) == [(MAIL, 1, 1, 70)]
    assert waived(events_of(rounds)) == [("unpaid", WEB, 1, 1)]


def test_of_vpss_made_at_one_instant_the_lower_id_pays_first() -> None:
    wallet = given(*running(MAIL), *running(WEB), funds=70)

    assert paid(events_of(settled(wallet, {WEB: proof(0), MAIL: proof(0)}, 0))) == [(WEB, 1, 1, 70)]


def test_an_earlier_minute_pays_before_that_of_an_older_vps() -> None:
    wallet = given(*running(WEB, since=1, created=-2), *running(MAIL, since=0.5, created=-1), funds=70)

    assert paid(events_of(settled(wallet, {WEB: proof(1), MAIL: proof(1)}, 1))) == [(MAIL, 1, 1, 70)]


def test_a_minute_that_costs_nothing_is_paid_from_nothing() -> None:
    rounds = settled(given(*running()), {WEB: proof(9)}, 9, price_book(small=0))

    assert paid(events_of(rounds)) == [(WEB, 1, 10, 0)]


def test_large_catch_ups_are_split_into_appends_that_others_need_not_wait_for() -> None:
    vpss = [VpsId(UUID(int=100 + number)) for number in range(LINES_MAX + 50)]
    wallet = given(*(event for vps_id in vpss for event in running(vps_id)), funds=10_000_000)

    rounds = settled(wallet, dict.fromkeys(vpss, proof(9)), 9)

    assert [len(paid(one.events)) for one in rounds] == [LINES_MAX, 50]
    assert [one.more for one in rounds] == [True, False]


def test_minutes_are_told_in_the_order_in_which_they_begin() -> None:
    wallet = given(*running(WEB, since=2), *running(MAIL, since=1), *running(JOBS, since=0), funds=10_000)

    (metered,) = settle(wallet, {WEB: proof(3), MAIL: proof(3), JOBS: proof(3)}, BOOK, minutes(3)).events

    assert isinstance(metered, MinutesMetered)
    assert [line.vps_id for line in metered.lines] == [JOBS, MAIL, WEB]


def test_stopping_and_starting_within_a_paid_minute_costs_nothing_more() -> None:
    wallet = given(*running(), funds=10_000)
    wallet = after(wallet, *settle(wallet, {WEB: proof(0)}, BOOK, T0).events)
    wallet = after(wallet, VpsReleased(WEB, 1, minutes(0.2), "stop"), MeterClosed(WEB, 1, minutes(0.3)))
    wallet = after(wallet, *running(since=0.5, generation=2))

    assert settle(wallet, {WEB: proof(0.9, 2)}, BOOK, minutes(0.9)) == Settlement()
    assert paid(settle(wallet, {WEB: proof(1, 2)}, BOOK, minutes(1)).events) == [(WEB, 2, 2, 70)]


def test_after_a_pause_the_next_minute_begins_with_the_next_run() -> None:
    wallet = given(*running(), funds=10_000)
    wallet = after(wallet, *settle(wallet, {WEB: proof(0)}, BOOK, T0).events)
    wallet = after(wallet, VpsReleased(WEB, 1, minutes(0.2), "stop"), MeterClosed(WEB, 1, minutes(0.3)))
    wallet = after(wallet, *running(since=7.5, generation=2))

    (metered,) = settle(wallet, {WEB: proof(8, 2)}, BOOK, minutes(8)).events

    assert isinstance(metered, MinutesMetered)
    assert [(line.n_from, line.n_to, line.at) for line in metered.lines] == [(2, 2, minutes(7.5))]
