"""Closing a meter: what is proven is paid, what is not is waived, and that is the end of it."""

from domain.wallet.events import MeterClosed, VpsReleased
from domain.wallet.metering import close_meter
from tests.domain.wallet.wallets import (
    BOOK,
    WEB,
    admitted,
    after,
    given,
    minutes,
    paid,
    proof,
    running,
    waived,
)


def test_minutes_up_to_the_stop_are_paid_once_it_took_hold() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(3), "stop"), funds=10_000)

    events = close_meter(wallet, WEB, proof(3.5), minutes(4), BOOK)

    assert paid(events) == [(WEB, 1, 3, 210)]
    assert waived(events) == []
    assert events[-1] == MeterClosed(WEB, 1, minutes(4))


def test_minutes_beyond_the_last_proof_are_waived_up_to_the_stop() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(9), "stop"), funds=10_000)

    events = close_meter(wallet, WEB, proof(3.5), minutes(10), BOOK)

    assert paid(events) == [(WEB, 1, 4, 280)]
    assert waived(events) == [("unproven", WEB, 5, 9)]


def test_a_guest_that_went_off_by_itself_is_released_then() -> None:
    events = close_meter(given(*running(), funds=10_000), WEB, proof(1), minutes(3), BOOK)

    assert paid(events) == [(WEB, 1, 2, 140)]
    assert waived(events) == [("unproven", WEB, 3, 3)]
    assert VpsReleased(WEB, 1, minutes(3), "off") in events


def test_nothing_is_charged_for_the_time_after_it_was_seen_off() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(9), "stop"), funds=10_000)

    assert paid(close_meter(wallet, WEB, proof(9), minutes(2), BOOK)) == [(WEB, 1, 2, 140)]


def test_minutes_that_run_on_after_an_unpaid_one_are_waived_until_it_is_off() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(0), "unpaid"), funds=10_000)

    events = close_meter(wallet, WEB, proof(3), minutes(5), BOOK)

    assert paid(events) == []
    assert waived(events) == [("unpaid", WEB, 1, 5)]


def test_an_unpaid_vps_runs_no_longer_once_its_owner_has_it_stopped() -> None:
    released = VpsReleased(WEB, 1, minutes(0), "unpaid"), VpsReleased(WEB, 1, minutes(2), "stop")

    events = close_meter(given(*running(), *released), WEB, proof(3), minutes(5), BOOK)

    assert waived(events) == [("unpaid", WEB, 1, 2)]


def test_what_the_balance_does_not_cover_at_the_end_is_waived() -> None:
    wallet = given(*running(), VpsReleased(WEB, 1, minutes(3), "stop"), funds=100)

    events = close_meter(wallet, WEB, proof(3), minutes(4), BOOK)

    assert paid(events) == [(WEB, 1, 1, 70)]
    assert waived(events) == [("unpaid", WEB, 2, 3)]
    assert after(wallet, *events).balance == 30


def test_a_vps_that_never_ran_is_released_with_nothing_due() -> None:
    wallet = given(admitted(), funds=10_000)

    events = close_meter(wallet, WEB, None, minutes(2), BOOK)

    assert events == (VpsReleased(WEB, 1, minutes(2), "off"),)
    assert after(wallet, *events).meters[WEB].closed


def test_closed_twice_is_closed_once() -> None:
    wallet = given(*running(), funds=10_000)
    wallet = after(wallet, *close_meter(wallet, WEB, proof(1), minutes(2), BOOK))

    assert close_meter(wallet, WEB, proof(1), minutes(3), BOOK) == ()


def test_waived_minutes_use_up_their_numbers() -> None:
    wallet = given(*running(), funds=10_000)

    wallet = after(wallet, *close_meter(wallet, WEB, proof(1), minutes(5), BOOK))

    assert wallet.meters[WEB].used_n == 5
    assert wallet.meters[WEB].next_at == minutes(5)
