"""Minutes of tokens with a limit: which of them passes it, and what counts against it."""

from datetime import UTC, datetime

from domain.money import MicroUsd
from domain.pricing.events import PlanRepriced
from domain.time import MINUTE, Instant, from_datetime
from domain.wallet.events import TokenLimitEnded, TokenUnlimited, VpsReleased
from domain.wallet.limits import MONTHS_KEPT, month_begins, month_of
from domain.wallet.metering import close_meter
from tests.domain.wallet.limited import CI, MIDNIGHT, OPS, created_by, in_minutes, limited, until
from tests.domain.wallet.wallets import (
    ACCOUNT,
    BOOK,
    JOBS,
    MAIL,
    SMALL,
    T0,
    WEB,
    after,
    events_of,
    given,
    minutes,
    paid,
    price_book,
    proof,
    settled,
    waived,
)


def test_a_minute_that_would_pass_the_limit_is_waived_and_its_vps_stopped() -> None:
    wallet = given(limited(2 * 70 + 69), *created_by(CI), funds=1_000_000)

    rounds = settled(wallet, {WEB: proof(9)}, 9)

    assert paid(events_of(rounds)) == [(WEB, 1, 2, 140)]
    assert waived(events_of(rounds)) == [("limit", WEB, 3, 3)]
    assert [one.stops for one in rounds] == [((WEB, 1, "limit"),)]
    assert events_of(rounds)[-1] == VpsReleased(WEB, 1, minutes(2), "limit")


def test_a_limit_is_spent_to_the_last_micro_dollar() -> None:
    wallet = given(limited(3 * 70), *created_by(CI), funds=1_000_000)

    wallet = after(wallet, *events_of(settled(wallet, {WEB: proof(9)}, 9)))

    assert wallet.limits[CI].left(minutes(9)) == 0
    assert wallet.balance == 1_000_000 - 3 * 70


def test_the_others_go_on() -> None:
    wallet = given(limited(70), *created_by(CI), *created_by(None, MAIL), *created_by(OPS, JOBS), funds=1_000_000)

    rounds = settled(wallet, dict.fromkeys((WEB, MAIL, JOBS), proof(4)), 4)

    assert paid(events_of(rounds)) == [(WEB, 1, 1, 70), (MAIL, 1, 5, 350), (JOBS, 1, 5, 350)]
    assert waived(events_of(rounds)) == [("limit", WEB, 2, 2)]


def test_all_vpss_of_a_token_draw_on_one_limit_in_the_order_of_their_minutes() -> None:
    wallet = given(limited(3 * 70), *created_by(CI, MAIL, since=minutes(0.5)), *created_by(CI), funds=1_000_000)

    rounds = settled(wallet, {WEB: proof(4), MAIL: proof(4)}, 4)

    assert paid(events_of(rounds)) == [(WEB, 1, 2, 140), (MAIL, 1, 1, 70)]
    assert waived(events_of(rounds)) == [("limit", MAIL, 2, 2), ("limit", WEB, 3, 3)]


def test_where_limit_and_balance_both_end_it_is_the_limit() -> None:
    rounds = settled(given(limited(70), *created_by(CI), funds=70), {WEB: proof(4)}, 4)

    assert waived(events_of(rounds)) == [("limit", WEB, 2, 2)]


def test_some_stop_for_the_limit_and_others_for_the_balance_in_one_append() -> None:
    wallet = given(limited(0), *created_by(CI), *created_by(None, MAIL), funds=0)

    (only,) = settled(wallet, {WEB: proof(0), MAIL: proof(0)}, 0)

    assert waived(only.events) == [("limit", WEB, 1, 1), ("unpaid", MAIL, 1, 1)]
    assert only.stops == ((WEB, 1, "limit"), (MAIL, 1, "unpaid"))


def test_a_month_is_that_in_which_a_minute_begins_in_utc() -> None:
    before = Instant(MIDNIGHT - 1)

    assert (month_of(MIDNIGHT) - month_of(before), month_begins(month_of(MIDNIGHT))) == (1, MIDNIGHT)
    assert month_begins(month_of(before) + 1) == MIDNIGHT
    assert month_of(from_datetime(datetime(2024, 1, 1, tzinfo=UTC))) == month_of(MIDNIGHT) + 1


def test_a_line_over_the_end_of_a_month_is_parted_exactly() -> None:
    since = Instant(MIDNIGHT - 2 * MINUTE - 1)
    book = price_book(small=997)
    wallet = given(limited(10_000, "month"), *created_by(CI, since=since), funds=1_000_000)

    (metered,) = events_of(
        settled(wallet, {WEB: until(MIDNIGHT + 2 * MINUTE)}, in_minutes(MIDNIGHT + 2 * MINUTE), book)
    )
    wallet = after(wallet, metered)

    november, december = month_of(since), month_of(MIDNIGHT)
    assert paid([metered]) == [(WEB, 1, 5, 997 * 5 // 60)]
    assert wallet.limits[CI].spent == {november: 997 * 3 // 60, december: 997 * 5 // 60 - 997 * 3 // 60}


def test_a_new_month_has_a_limit_of_its_own() -> None:
    since = Instant(MIDNIGHT - 2 * MINUTE)
    wallet = given(limited(2 * 70, "month"), *created_by(CI, since=since), funds=1_000_000)

    rounds = settled(wallet, {WEB: until(MIDNIGHT + 9 * MINUTE)}, in_minutes(MIDNIGHT + 9 * MINUTE))

    assert paid(events_of(rounds)) == [(WEB, 1, 4, 280)], "two of each month"
    assert waived(events_of(rounds)) == [("limit", WEB, 5, 5)]


def test_minutes_from_the_expiry_on_are_not_limited_and_do_not_count() -> None:
    wallet = given(limited(2 * 70, expires_at=minutes(2)), *created_by(CI), funds=1_000_000)

    rounds = settled(wallet, {WEB: proof(9)}, 9)

    assert paid(events_of(rounds)) == [(WEB, 1, 10, 700)]
    assert after(wallet, *events_of(rounds)).limits[CI].spent == {0: 140}


def test_minutes_after_the_token_was_revoked_are_not_limited() -> None:
    wallet = given(limited(70), *created_by(CI), TokenLimitEnded(ACCOUNT, CI), funds=1_000_000)

    rounds = settled(wallet, {WEB: proof(9)}, 9)

    assert paid(events_of(rounds)) == [(WEB, 1, 10, 700)]
    assert after(wallet, *events_of(rounds)).limits == {}


def test_minutes_of_a_token_without_a_limit_are_counted() -> None:
    wallet = given(TokenUnlimited(ACCOUNT, CI, None), *created_by(CI), funds=1_000_000)

    wallet = after(wallet, *events_of(settled(wallet, {WEB: proof(9)}, 9)))

    assert (wallet.limits[CI].spent, wallet.limits[CI].left(minutes(9))) == ({0: 700}, None)


def test_only_the_last_months_are_kept() -> None:
    wallet = given(limited(10**9, "month"), *created_by(CI), funds=10**9)
    a_year_and_a_half = 18 * 31 * 24 * 60

    wallet = after(wallet, *events_of(settled(wallet, {WEB: proof(a_year_and_a_half)}, a_year_and_a_half)))

    newest = month_of(minutes(a_year_and_a_half))
    assert sorted(wallet.limits[CI].spent) == list(range(newest - MONTHS_KEPT + 1, newest + 1))
    assert wallet.limits[CI].left(T0) == 0, "of a month that is not known any more nothing is left"


def test_at_its_end_a_start_pays_as_far_as_the_limit_goes() -> None:
    wallet = given(limited(2 * 70), *created_by(CI), VpsReleased(WEB, 1, minutes(4), "stop"), funds=1_000_000)

    events = close_meter(wallet, WEB, proof(4), minutes(5), BOOK)

    assert paid(events) == [(WEB, 1, 2, 140)]
    assert waived(events) == [("limit", WEB, 3, 4)]
    assert VpsReleased(WEB, 1, minutes(2), "limit") in events


def test_at_its_end_a_start_pays_of_each_month_as_far_as_that_goes() -> None:
    since = Instant(MIDNIGHT - 2 * MINUTE)
    wallet = given(limited(2 * 70, "month"), *created_by(CI, since=since), funds=1_000_000)

    events = close_meter(wallet, WEB, until(MIDNIGHT + 9 * MINUTE), Instant(MIDNIGHT + 5 * MINUTE), BOOK)

    assert paid(events) == [(WEB, 1, 4, 280)]
    assert waived(events) == [("limit", WEB, 5, 7)]


def test_minutes_that_run_on_after_the_limit_are_waived_for_it_until_it_is_off() -> None:
    wallet = given(limited(2 * 70), *created_by(CI), VpsReleased(WEB, 1, minutes(7), "stop"), funds=1_000_000)
    wallet = after(wallet, *events_of(settled(wallet, {WEB: proof(5)}, 5)))

    assert waived(close_meter(wallet, WEB, proof(5), minutes(9), BOOK)) == [("limit", WEB, 4, 7)]


def test_at_its_end_a_start_of_an_expired_token_is_not_limited() -> None:
    wallet = given(limited(70, expires_at=minutes(1)), *created_by(CI), funds=1_000_000)

    assert paid(close_meter(wallet, WEB, proof(4), minutes(4), BOOK)) == [(WEB, 1, 4, 280)]


def test_a_price_that_changes_counts_as_it_is_charged() -> None:
    book = price_book(PlanRepriced(SMALL, 2, MicroUsd(6_000), minutes(2)))
    wallet = given(limited(2 * 70 + 199), *created_by(CI), funds=1_000_000)

    assert paid(events_of(settled(wallet, {WEB: proof(9)}, 9, book))) == [(WEB, 1, 2, 140), (WEB, 3, 3, 100)]
