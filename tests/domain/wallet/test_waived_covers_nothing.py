"""Only what was paid covers a later start: nobody runs on a minute that was waived."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from domain.deciding import Decision
from domain.events import Event
from domain.ids import VpsId
from domain.money import MicroUsd
from domain.wallet.events import FundsCredited, MeterClosed, MinuteLine, MinutesMetered, MinutesWaived, VpsReleased
from domain.wallet.forecast import exhausts_at
from domain.wallet.metering import close_meter
from domain.wallet.quote import quote
from domain.wallet.wallet import Wallet
from tests.domain.wallet.wallets import (
    ACCOUNT,
    BOOK,
    SMALL,
    WEB,
    admitted,
    after,
    events_of,
    given,
    minutes,
    paid,
    proof,
    running,
    settled,
    waived,
)

A_SECOND = 1 / 60


def closed(wallet: Wallet, *, proven: float, off: float, generation: int = 1) -> Wallet:
    """Return a wallet of which a start was shown off, its minutes settled as far as it was proven."""
    proofs = {WEB: proof(proven, generation)}
    wallet = after(wallet, *events_of(settled(wallet, proofs, off)))
    return after(wallet, *close_meter(wallet, WEB, proofs[WEB], minutes(off), BOOK))


def begins(events: tuple[Event, ...] | list[Event]) -> Iterator[int]:
    """Return when each paid line begins."""
    return (line.at for event in events if isinstance(event, MinutesMetered) for line in event.lines)


def test_a_waived_minute_does_not_cover_the_next_start() -> None:
    # Off a second after the second minute began, before any look: it is waived, and covers nothing of start 2.
    wallet = closed(given(*running(), funds=10_000), proven=0.9, off=1.1)
    wallet = after(wallet, *running(since=1.2, generation=2))

    events = events_of(settled(wallet, {WEB: proof(1.2, 2)}, 1.2))

    assert paid(events) == [(WEB, 3, 3, 70)]
    assert list(begins(events)) == [minutes(1.2)]


def test_a_paid_minute_still_covers_the_next_start() -> None:
    wallet = closed(given(*running(), funds=10_000), proven=0.5, off=0.6)
    wallet = after(wallet, *running(since=0.7, generation=2))

    events = events_of(settled(wallet, {WEB: proof(2.5, 2)}, 2.5))

    assert paid(events) == [(WEB, 2, 3, 140)]
    assert list(begins(events)) == [minutes(1)]


def test_what_was_paid_covers_also_the_start_after_one_that_waived() -> None:
    """A clock that steps back lets a later start begin before a waived minute would have; what is paid is paid."""
    wallet = closed(given(*running(), funds=10_000), proven=0.9, off=1.1)
    wallet = after(wallet, *running(since=0.95, generation=2))

    events = events_of(settled(wallet, {WEB: proof(1.5, 2)}, 1.5))

    assert paid(events) == [(WEB, 3, 3, 70)]
    assert list(begins(events)) == [minutes(1)]


def test_a_start_that_never_came_up_leaves_what_was_paid_as_it_is() -> None:
    wallet = closed(given(*running(), funds=10_000), proven=0.9, off=1.1)
    wallet = after(wallet, admitted(generation=2), VpsReleased(WEB, 2, minutes(1.3), "error"))
    wallet = after(wallet, *running(since=1.4, generation=3))

    events = events_of(settled(wallet, {WEB: proof(1.4, 3)}, 1.4))

    assert list(begins(events)) == [minutes(1.4)]


def test_twenty_starts_put_off_around_the_end_of_their_minute_are_paid_twenty_times() -> None:
    """The owner's way to run for ever on one paid minute: ``poweroff`` just after each minute began, and start."""
    wallet, now, ran_s = given(funds=10_000), 0.0, 0.0
    for generation in range(1, 21):
        wallet = after(wallet, *running(since=now, generation=generation))
        off = now + 60 * A_SECOND + A_SECOND
        ran_s += (off - now) * 60
        wallet = closed(wallet, proven=now + 50 * A_SECOND, off=off, generation=generation)
        now = off + 3 * A_SECOND

    assert wallet.meters[WEB].paid_n == 20
    assert ran_s - 60 * wallet.meters[WEB].paid_n == pytest.approx(20)


def test_after_a_stop_for_want_of_funds_the_next_start_pays_at_once() -> None:
    wallet = given(*running(), funds=100)
    wallet = after(wallet, *events_of(settled(wallet, {WEB: proof(1.1)}, 1.1)))
    wallet = after(wallet, *close_meter(wallet, WEB, proof(1.1), minutes(1.2), BOOK))
    wallet = after(with_more(wallet, 10_000), *running(since=1.3, generation=2))

    events = events_of(settled(wallet, {WEB: proof(1.3, 2)}, 1.3))

    assert wallet.meters[WEB].used_n == 2
    assert list(begins(events)) == [minutes(1.3)]


def test_minutes_waived_before_this_rule_stay_as_they_were() -> None:
    """An old ledger: start 2 ran on the waived minute 2, and its minute 3 began when that was over."""
    old = (
        *running(),
        metered(1, 0),
        MinutesWaived(ACCOUNT, "unproven", (line(2, 1),)),
        VpsReleased(WEB, 1, minutes(1.1), "off"),
        MeterClosed(WEB, 1, minutes(1.1)),
        *running(since=1.2, generation=2),
        metered(3, 2),
    )

    wallet = given(*old, funds=10_000)
    events = events_of(settled(wallet, {WEB: proof(3.5, 2)}, 3.5))

    assert paid(events) == [(WEB, 4, 4, 70)]
    assert list(begins(events)) == [minutes(3)]


def test_a_forecast_knows_that_a_waived_minute_covers_nothing() -> None:
    wallet = closed(given(*running(), funds=210), proven=0.9, off=1.1)
    wallet = after(wallet, admitted(generation=2))

    # 140 are left: two minutes from the login on, which can be now.
    assert wallet.balance == 140
    assert exhausts_at(wallet, BOOK, minutes(1.2)) == minutes(3.2)
    assert not waived(events_of(settled(wallet, {}, 1.2)))


def test_a_quote_knows_that_a_waived_minute_covers_nothing() -> None:
    wallet = closed(given(*running(), funds=4_200 + 70), proven=0.9, off=1.1)

    made = quote(wallet, BOOK, WEB, SMALL, minutes(1.2), None, Decision)

    assert made.lasts_until == minutes(61.2)


def line(n: int, at: float, vps_id: VpsId = WEB) -> MinuteLine:
    return MinuteLine(vps_id, n, n, minutes(at), SMALL, 1, MicroUsd(4_200), MicroUsd(70))


def metered(n: int, at: float) -> MinutesMetered:
    return MinutesMetered(ACCOUNT, (line(n, at),))


def with_more(wallet: Wallet, funds: int) -> Wallet:
    """Return a wallet with so much more in it."""
    return after(wallet, FundsCredited(ACCOUNT, UUID(int=2), MicroUsd(funds), "more"))
