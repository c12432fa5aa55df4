"""Forecasting: a balance lasts exactly until the first minute that settling cannot pay."""

from uuid import UUID

from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from domain.ids import VpsId
from domain.money import MicroUsd
from domain.pricing.events import PlanRepriced
from domain.pricing.price_book import PriceBook
from domain.time import MINUTE, Instant
from domain.wallet.events import MinutesWaived, VpsReleased
from domain.wallet.forecast import exhausts_at
from domain.wallet.proofs import Proof
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import (
    BOOK,
    JOBS,
    LARGE,
    MAIL,
    SMALL,
    T0,
    WEB,
    admitted,
    events_of,
    given,
    minutes,
    price_book,
    running,
    settled,
)


def test_a_balance_lasts_until_the_first_minute_that_it_does_not_cover() -> None:
    assert exhausts_at(given(*running(), funds=140), BOOK, T0) == minutes(2)
    assert exhausts_at(given(*running(), funds=139), BOOK, T0) == minutes(1)
    assert exhausts_at(given(*running(), funds=4_200 * 24), BOOK, T0) == minutes(24 * 60)


def test_minutes_that_are_due_and_not_paid_yet_count() -> None:
    assert exhausts_at(given(*running(), funds=140), BOOK, minutes(30)) == minutes(2)


def test_what_is_on_together_is_paid_from_one_balance() -> None:
    wallet = given(*running(WEB), *running(MAIL, LARGE, since=0.5), funds=70 + 1_000 + 70 + 999)

    assert exhausts_at(wallet, BOOK, T0) == minutes(1.5)


def test_a_price_that_is_to_change_counts_from_its_instant_on() -> None:
    book = price_book(PlanRepriced(SMALL, 2, MicroUsd(42_000), minutes(10)))

    assert exhausts_at(given(*running(), funds=10 * 70 + 3 * 700), book, T0) == minutes(13)


def test_what_boots_is_taken_to_run_from_now_on() -> None:
    assert exhausts_at(given(admitted(), funds=140), BOOK, minutes(7)) == minutes(9)


def test_what_was_switched_off_costs_up_to_its_release() -> None:
    wallet = given(*running(WEB), *running(MAIL), VpsReleased(MAIL, 1, minutes(2), "stop"), funds=5 * 70)

    assert exhausts_at(wallet, BOOK, minutes(1)) == minutes(3)


def test_nothing_that_is_on_or_costs_anything_exhausts_nothing() -> None:
    assert exhausts_at(given(funds=140), BOOK, T0) is None
    assert exhausts_at(given(*running(), funds=140), price_book(small=0), T0) is None
    assert exhausts_at(given(*running(), VpsReleased(WEB, 1, minutes(2), "stop"), funds=1), BOOK, T0) is None


def test_what_outlasts_a_century_is_not_told() -> None:
    assert exhausts_at(given(*running(), funds=4_200 * 24 * 366 * 101), BOOK, T0) is None


SINCE = st.integers(0, 5 * MINUTE)
RUNS = st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), SINCE, st.booleans()), min_size=1, max_size=5)
REPRICED = st.lists(
    st.tuples(st.sampled_from([SMALL, LARGE]), st.integers(0, 300_000), st.integers(0, 600 * MINUTE)), max_size=4
)


@settings(max_examples=300, deadline=None)
@drawn(RUNS, REPRICED, st.integers(0, 2_000_000), st.integers(1, 100_000), st.integers(0, 100_000))
def test_settling_up_to_that_instant_meets_its_first_unpaid_minute_then_and_not_before(
    runs: list[tuple[UUID, int, bool]],
    repriced: list[tuple[UUID, int, int]],
    funds: int,
    small: int,
    large: int,
) -> None:
    ordered = sorted(repriced, key=lambda one: one[2])
    changes = [
        PlanRepriced(plan, 2 + k, MicroUsd(price), Instant(T0 + after))  # type: ignore[arg-type]
        for k, (plan, price, after) in enumerate(ordered)
    ]
    book = price_book(*changes, small=small, large=large)
    events = [
        event
        for k, (plan, since, _) in enumerate(runs)
        for event in running(VpsId(UUID(int=100 + k)), plan, since=since / MINUTE, created=-k)  # type: ignore[arg-type]
    ]
    wallet = given(*events, funds=funds)
    exhausted = exhausts_at(wallet, book, T0)

    if exhausted is None:
        assert first_unpaid(wallet, book, minutes(2_000)) is None
    else:
        assert first_unpaid(wallet, book, Instant(exhausted - 1)) is None
        assert first_unpaid(wallet, book, exhausted) == exhausted


def first_unpaid(wallet: Wallet, book: PriceBook, now: Instant) -> Instant | None:
    """Settle everything up to an instant, and return when the first minute began that was not paid."""
    proofs = {vps_id: Proof(1, "boot/1", 1, now) for vps_id in wallet.meters}
    rounds = settled(wallet, proofs, (now - T0) / MINUTE, book)
    begins = [event.lines[0].at for event in events_of(rounds) if isinstance(event, MinutesWaived)]
    return begins[0] if begins else None


def test_minutes_of_three_and_what_is_left_are_counted_to_the_micro_dollar() -> None:
    wallet = given(*running(WEB, since=0.1), *running(MAIL, since=0.2), *running(JOBS, since=0.3), funds=7 * 70 - 1)

    assert exhausts_at(wallet, BOOK, T0) == minutes(2.1)
