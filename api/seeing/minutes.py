"""Minutes one by one, as the events of a wallet tell them."""

from collections.abc import Iterator

import msgspec

from domain import codec
from domain.ids import VpsId
from domain.money import ZERO, MicroUsd, charge_for_minutes
from domain.ports import Recorded
from domain.time import MINUTE, Instant
from domain.wallet.events import MinuteLine, MinutesMetered, MinutesWaived
from projections.charges import PAID


class Minute(msgspec.Struct, frozen=True):
    """One minute of a VPS, paid or waived."""

    line: MinuteLine
    n: int
    at: Instant
    """t(n): when it began."""
    cause: str
    """``paid``, or why nobody pays it."""
    cost: MicroUsd
    """What it cost, or would have cost."""

    @property
    def vps_id(self) -> VpsId:
        """Of which VPS it is."""
        return self.line.vps_id

    @property
    def amount(self) -> MicroUsd:
        """By how much it moved the balance."""
        return MicroUsd(-self.cost) if self.cause == PAID else ZERO


def minute_of(line: MinuteLine, n: int, cause: str) -> Minute:
    """Return the n-th minute of a VPS, which is in this line."""
    at = Instant(line.at + (n - line.n_from) * MINUTE)
    return Minute(line, n, at, cause, charge_for_minutes(line.price_hourly, n, n))


def lines_in(recorded: Recorded) -> tuple[str, tuple[MinuteLine, ...]]:
    """Return the cause and the lines of an event of a wallet; none where it is not about minutes."""
    event = codec.decode(recorded)
    match event:
        case MinutesMetered():
            return PAID, event.lines
        case MinutesWaived():
            return event.cause, event.lines
        case _:
            return "", ()


def minutes_between(recorded: Recorded, first: int, last: int) -> Iterator[Minute]:
    """Return the minutes of an event from the ``first`` to the ``last`` of them, in its order, counted from 1."""
    cause, lines = lines_in(recorded)
    before = 0
    for line in lines:
        count = line.n_to - line.n_from + 1
        for k in range(max(first, before + 1), min(last, before + count) + 1):
            yield minute_of(line, line.n_from + k - before - 1, cause)
        before += count


def cost_up_to(recorded: Recorded, place: int) -> MicroUsd:
    """Return by how much the first ``place`` minutes of an event moved the balance."""
    cause, lines = lines_in(recorded)
    moved, before = 0, 0
    for line in lines if cause == PAID else ():
        count = min(line.n_to - line.n_from + 1, place - before)
        if count <= 0:
            break
        moved -= charge_for_minutes(line.price_hourly, line.n_from, line.n_from + count - 1)
        before += count
    return MicroUsd(moved)
