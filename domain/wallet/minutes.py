"""Minutes: those of one VPS that begin in a stretch of its run, what they cost, and how they are written."""

from collections.abc import Iterator

import msgspec

from domain.events import Event
from domain.money import MicroUsd, charge_for_minutes
from domain.ports import MinuteClaim
from domain.pricing.price_book import Plan, Price, PriceBook
from domain.time import MINUTE, Instant
from domain.wallet.events import MinuteLine, MinutesMetered, MinutesWaived
from domain.wallet.meter import Meter


def minute_claims(event: Event) -> tuple[MinuteClaim, ...]:
    """Return the minutes that an event uses up, in the order in which they are claimed."""
    if not isinstance(event, MinutesMetered | MinutesWaived):
        return ()
    return tuple(MinuteClaim(vps_id=line.vps_id, n_from=line.n_from, n_to=line.n_to) for line in event.lines)


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Minutes of one VPS that begin 60 s after each other: ``count`` of them, the first at ``first_at``."""

    meter: Meter
    first_n: int
    first_at: Instant
    count: int
    parts: tuple[tuple[int, Price], ...]
    """The stretch by price: how many of its minutes have begun when a part ends, and the part's price."""

    def begun_by(self, instant: Instant) -> int:
        """Return how many of the minutes begin at ``instant`` or before."""
        return max(0, min(self.count, (instant - self.first_at) // MINUTE + 1))

    def begins(self, k: int) -> Instant:
        """Return when the minute after the first ``k`` begins."""
        return Instant(self.first_at + k * MINUTE)

    def cost(self, k: int) -> MicroUsd:
        """Return what the first ``k`` minutes cost together."""
        cost, part_from = 0, 0
        for part_to, price in self.parts:
            if part_from >= k:
                break
            n_from, n_to = self.first_n + part_from, self.first_n + min(part_to, k) - 1
            cost += charge_for_minutes(price.price_hourly, n_from, n_to)
            part_from = part_to
        return MicroUsd(cost)

    def lines(self, after: int, until: int) -> Iterator[MinuteLine]:
        """Return the minutes past the first ``after`` up to the ``until``-th: a line a price."""
        part_from = 0
        for part_to, price in self.parts:
            k_from, k_to = max(part_from, after), min(part_to, until)
            if k_from < k_to:
                yield self._line(k_from, k_to, price)
            part_from = part_to

    def _line(self, k_from: int, k_to: int, price: Price) -> MinuteLine:
        n_from, n_to = self.first_n + k_from, self.first_n + k_to - 1
        return MinuteLine(
            vps_id=self.meter.vps_id,
            n_from=n_from,
            n_to=n_to,
            at=self.begins(k_from),
            plan_id=self.meter.plan_id,
            price_version=price.version,
            price_hourly=price.price_hourly,
            amount=charge_for_minutes(price.price_hourly, n_from, n_to),
        )


def stretch_until(meter: Meter, last: Instant, book: PriceBook) -> Stretch | None:
    """Return the minutes of a meter, from the first unused one, that begin at ``last`` or before."""
    first_at = meter.first_due_at
    if first_at is None or last < first_at:
        return None
    count = (last - first_at) // MINUTE + 1
    plan = book.plan(meter.plan_id)
    price = plan.in_force(first_at)
    # Nearly always there is no later price, and all of this is done for each VPS at each tick.
    parts = ((count, price),) if price is plan.prices[-1] else tuple(_parts(plan, price, first_at, count))
    return Stretch(meter, meter.used_n + 1, first_at, count, parts)


def _parts(plan: Plan, price: Price, first_at: Instant, count: int) -> Iterator[tuple[int, Price]]:
    part_from = 0
    for following in plan.prices:
        if following.effective_at <= first_at or following.version <= price.version:
            continue
        begun_before = -(-(following.effective_at - first_at) // MINUTE)
        if begun_before >= count:
            break
        if begun_before > part_from:
            # Of prices that follow each other within one minute, only the last is anybody's.
            yield begun_before, price
            part_from = begun_before
        price = following
    yield count, price
