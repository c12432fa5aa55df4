"""Forecast: when a balance will not cover a minute any more, if everything that is on stays on."""

from collections.abc import Iterator, Sequence

import msgspec

from domain.money import MicroUsd
from domain.pricing.price_book import PriceBook
from domain.time import HOUR, MINUTE, Instant
from domain.wallet.minutes import Stretch, stretch_until
from domain.wallet.wallet import Wallet

LOOK_AHEAD = 100 * 366 * 24 * HOUR
"""What lasts longer than a century is not told."""
NARROW = 4 * MINUTE
"""Within so short a span the beginnings of minutes are few, and are looked at one by one."""
GUESSES_MAX = 8
"""Guesses by the rate at which money goes; prices that are to change may need more than one."""


def exhausts_at(wallet: Wallet, book: PriceBook, now: Instant) -> Instant | None:
    """Return when the first minute begins that the balance does not cover, at the prices known by now.

    What boots is taken to run from now on; limits of tokens are left aside. None where nothing is on that
    costs anything, or where the balance outlasts ``LOOK_AHEAD``. Minutes that are due and not paid yet count,
    so it may be in the past. The price and the order of each minute are those of ``metering.settle``.
    """
    horizon = Instant(now + LOOK_AHEAD)
    stretches = list(_to_come(wallet, book, now, horizon))
    if not any(meter.on for meter in wallet.meters.values()) or _cost(stretches, horizon) <= wallet.balance:
        return None
    affordable, too_far = _bracket(stretches, wallet, book, now, horizon)
    begins = sorted(set(_begins(stretches, affordable, too_far)))
    low, high = 0, len(begins) - 1
    while low < high:
        middle = (low + high) // 2
        if _cost(stretches, begins[middle]) <= wallet.balance:
            low = middle + 1
        else:
            high = middle
    return begins[low]


def _to_come(wallet: Wallet, book: PriceBook, now: Instant, horizon: Instant) -> Iterator[Stretch]:
    for meter in wallet.meters.values():
        if meter.on:
            # What boots has not begun to run: the soonest it can is now.
            running = msgspec.structs.replace(meter, run_from=now) if meter.run_from is None else meter
            stretch = stretch_until(running, horizon, book)
        elif meter.released_at is not None and meter.due_at is not None:
            stretch = stretch_until(meter, Instant(meter.released_at - 1), book)
        else:
            stretch = None
        if stretch is not None:
            yield stretch


def _bracket(
    stretches: Sequence[Stretch], wallet: Wallet, book: PriceBook, now: Instant, horizon: Instant
) -> tuple[Instant, Instant]:
    """Return an instant up to which everything is covered, and one soon after by which it is not."""
    affordable, too_far, spent = Instant(min(s.first_at for s in stretches) - 1), horizon, 0
    for guess in range(GUESSES_MAX + LOOK_AHEAD.bit_length()):
        if too_far - affordable <= NARROW:
            break
        middle = Instant((affordable + too_far) // 2)
        rate = sum(book.in_force(meter.plan_id, max(affordable, now)).price_hourly for meter in wallet.meters_on())
        if guess < GUESSES_MAX and rate:
            # All minutes that begin within an hour cost the hourly prices, give or take a minute of each.
            likely = affordable + (wallet.balance - spent) * HOUR // rate
            beside = NARROW // 2 if guess % 2 else -(NARROW // 2)
            middle = Instant(min(max(likely + beside, affordable + 1), too_far - 1))
        cost = _cost(stretches, middle)
        if cost <= wallet.balance:
            affordable, spent = middle, cost
        else:
            too_far = middle
    return affordable, too_far


def _begins(stretches: Sequence[Stretch], after: Instant, until: Instant) -> Iterator[Instant]:
    """Return when each minute begins that begins past ``after`` and no later than ``until``."""
    for stretch in stretches:
        for k in range(stretch.begun_by(after), stretch.begun_by(until)):
            yield stretch.begins(k)


def _cost(stretches: Sequence[Stretch], until: Instant) -> MicroUsd:
    """Return what all minutes cost that begin at ``until`` or before."""
    return MicroUsd(sum(stretch.cost(stretch.begun_by(until)) for stretch in stretches))
