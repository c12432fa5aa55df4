"""Minutes one by one, as the events of a wallet tell them."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice

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
    return Minute(line, n, _begun_at(line, n), cause, charge_for_minutes(line.price_hourly, n, n))


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


def minutes_between(
    cause: str, lines: Sequence[MinuteLine], created: Mapping[VpsId, Instant], first: int, last: int
) -> tuple[MicroUsd, list[Minute]]:
    """Return by how much the minutes before the ``first`` of an event moved the balance, and those up to the ``last``.

    They are counted from 1 in the order in which they were paid: of their beginnings, then of their VPSs' creation,
    then of the ids. ``created``: when each VPS was; without it, as in lines of one minute each, that of the lines.
    """
    if created:
        lines = sorted(lines, key=lambda line: (created[line.vps_id], line.vps_id.int))
    before = _counts(lines, first - 1)
    moved = sum(
        -charge_for_minutes(line.price_hourly, line.n_from, line.n_from + count - 1)
        for line, count in zip(lines, before, strict=True)
        if count and cause == PAID
    )
    following = (_following(rank, line, count) for rank, (line, count) in enumerate(zip(lines, before, strict=True)))
    upcoming = islice(merge(*following), last - first + 1)
    return MicroUsd(moved), [minute_of(lines[rank], n, cause) for _, rank, n in upcoming]


def comes_in_stretches(lines: Sequence[MinuteLine]) -> bool:
    """Tell whether minutes of several lines may lie between each other, as they do after a catch-up."""
    return len(lines) > 1 and any(line.n_to > line.n_from for line in lines)


def _following(rank: int, line: MinuteLine, count: int) -> Iterator[tuple[Instant, int, int]]:
    """Return beginning, place of the line and number of each minute of a line after so many."""
    for n in range(line.n_from + count, line.n_to + 1):
        yield _begun_at(line, n), rank, n


def _counts(lines: Sequence[MinuteLine], place: int) -> list[int]:
    """Return how many minutes of each line are among the first ``place`` of all.

    The instant up to which all have begun is found by bisection: a line may be of a year.
    """
    if place == 0 or len(lines) == 1:
        return [place] * len(lines)
    begins, ends = min(line.at for line in lines), max(_begun_at(line, line.n_to) for line in lines) + 1
    over = begins + bisect_right(range(begins, ends), place, key=lambda at: sum(_begun(line, at) for line in lines))
    counts = [_begun(line, over - 1) for line in lines]
    left = place - sum(counts)
    for rank, line in enumerate(lines):
        if left and _begun(line, over) > counts[rank]:
            counts[rank], left = counts[rank] + 1, left - 1
    return counts


def _begun(line: MinuteLine, at: int) -> int:
    """Return how many minutes of a line begin at an instant or before."""
    return min(max(0, (at - line.at) // MINUTE + 1), line.n_to - line.n_from + 1)


def _begun_at(line: MinuteLine, n: int) -> Instant:
    return Instant(line.at + (n - line.n_from) * MINUTE)
