"""Metering: paying the minutes that are due, in order, as far as the balance and the tokens' limits go."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Literal

import msgspec

from domain.events import Event
from domain.ids import TokenId, VpsId
from domain.money import MicroUsd
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.events import (
    MeterClosed,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReleaseCause,
    VpsReleased,
    WaiveCause,
)
from domain.wallet.funds import owner
from domain.wallet.limits import Allowance, TokenLimit, allowances, allowed_count, counted
from domain.wallet.meter import Meter
from domain.wallet.minutes import Stretch, stretch_until
from domain.wallet.proofs import Proof
from domain.wallet.wallet import Wallet

LINES_MAX = 200
"""Lines in one append, about: large ones keep others waiting. What is left comes in the next."""

SINGLE_MINUTES_MAX = 2_000
"""Minutes looked at one by one in one decision, where funds run out."""
_NEVER = Instant(-1)
_begins = attrgetter("at")
"""When the first minute of a line begins."""

Shortage = Literal["unpaid", "limit"]
"""Why a minute cannot be paid: the balance does not cover it, or it would pass its token's limit."""


class Settlement(msgspec.Struct, frozen=True):
    """What a tick records for one account."""

    events: tuple[Event, ...] = ()
    """For the wallet's stream."""
    stops: tuple[tuple[VpsId, int, Shortage], ...] = ()
    """VPS, generation and why of those that cannot pay: their stop must be requested in the very same append."""
    more: bool = False
    """Whether to settle once more, since not everything due fitted into one append."""


def settle(wallet: Wallet, proofs: Mapping[VpsId, Proof], book: PriceBook, now: Instant) -> Settlement:
    """Pay every due minute in the order of its beginning, then of the VPS's creation, then its id.

    Due is a minute that begins no later than the VPS is proven to have run, and before its release. Where
    one would pass its token's limit, or else the balance does not cover it, that minute is waived and its VPS
    released, while minutes of other tokens, or cheaper ones, may still be paid.
    """
    stretches = sorted(_due(wallet, proofs, book, now), key=_order)
    limited = allowances(wallet.limits, stretches)
    if not limited and (lines := _affordable_lines(stretches, wallet.balance)) is not None:
        return _paid(wallet, lines, complete=True)
    horizon = _affordable_until(stretches, wallet.balance, limited)
    if horizon is None:
        return _paid(wallet, _lines(stretches, {s.meter.vps_id: s.count for s in stretches}), complete=True)
    begun = {s.meter.vps_id: s.begun_by(horizon) for s in stretches}
    if len(lines := _lines(stretches, begun)) > LINES_MAX:
        return _paid(wallet, lines, complete=False)
    return _paid_as_far_as_it_goes(wallet, stretches, begun)


def close_meter(
    wallet: Wallet, vps_id: VpsId, proof: Proof | None, off_at: Instant, book: PriceBook
) -> tuple[Event, ...]:
    """Settle a start of a VPS for good, now that its host shows it off since ``off_at`` at the latest.

    Proven minutes are paid as far as limit and balance go; what is unproven, or cannot be paid, is waived. Told twice,
    true once. The account is to be settled before (``settle``), lest other VPSs' earlier minutes come later.
    """
    meter = wallet.meters.get(vps_id)
    if meter is None or meter.closed:
        return ()
    if meter.run_from is None:
        return (_released(meter, off_at, "off"),)
    runs_until = off_at if meter.runs_until is None else min(off_at, meter.runs_until)
    events = list(_last_minutes(wallet, meter, proof, runs_until, book))
    if meter.on and not any(isinstance(event, VpsReleased) for event in events):
        events.append(_released(meter, off_at, "off"))
    return (*events, MeterClosed(vps_id=vps_id, generation=meter.generation, off_at=off_at))


def _last_minutes(
    wallet: Wallet, meter: Meter, proof: Proof | None, runs_until: Instant, book: PriceBook
) -> Iterator[Event]:
    run = stretch_until(meter, Instant(runs_until - 1), book)
    if run is None:
        return
    due = run.begun_by(min(_last_due(meter, proof), Instant(runs_until - 1)))
    allowed = allowed_count(wallet.limits, run, due)
    paid = min(allowed, _affordable_count(run, due, wallet.balance))
    if paid:
        yield _metered(wallet, run.lines(0, paid))
    short: Shortage | None = None
    if paid < due:
        short = "limit" if paid == allowed else "unpaid"
    if paid < run.count:
        yield _waived(wallet, run.lines(paid, run.count), short or _why_not_charged(meter, runs_until))
    if short:
        yield _released(meter, run.begins(paid), short)


def _why_not_charged(meter: Meter, runs_until: Instant) -> WaiveCause:
    if meter.released_at is None or meter.released_at >= runs_until:
        return "unproven"
    # A release before the end of the run is one for want of funds: nobody else ends the charge earlier.
    return "limit" if meter.release_cause == "limit" else "unpaid"


def _due(wallet: Wallet, proofs: Mapping[VpsId, Proof], book: PriceBook, now: Instant) -> Iterator[Stretch]:
    for meter in wallet.meters.values():
        due = stretch_until(meter, min(now, _last_due(meter, proofs.get(meter.vps_id))), book)
        if due is not None:
            yield due


def _last_due(meter: Meter, proof: Proof | None) -> Instant:
    """Return the last instant at which a minute that is to be paid can begin; -1: at none."""
    if proof is None or proof.generation != meter.generation:
        return _NEVER
    if meter.released_at is None:
        return proof.proven_until
    return min(proof.proven_until, Instant(meter.released_at - 1))


def _order(stretch: Stretch) -> tuple[Instant, int]:
    """Who pays first of minutes that begin at one instant: the older VPS, then the lower id."""
    return (stretch.meter.created_at, stretch.meter.vps_id.int)


def _affordable_until(stretches: Sequence[Stretch], balance: MicroUsd, limited: Sequence[Allowance]) -> Instant | None:
    """Return an instant up to which all minutes can be paid, and no further; None: all can be."""
    if not stretches:
        return None
    too_far = max(s.begins(s.count - 1) for s in stretches)
    if sum(s.cost(s.count) for s in stretches) <= balance and all(one.covers(too_far) for one in limited):
        return None
    affordable = min(s.first_at for s in stretches) - 1
    while too_far - affordable > 1:
        middle = Instant((affordable + too_far) // 2)
        # Whatever is true of an instant is true of all before it, as of the balance, so of each limit.
        if sum(s.cost(s.begun_by(middle)) for s in stretches) <= balance and all(one.covers(middle) for one in limited):
            affordable = middle
        else:
            too_far = middle
    return Instant(affordable)


def _affordable_count(run: Stretch, due: int, balance: MicroUsd) -> int:
    """Return how many of the first ``due`` minutes can be paid one after the other."""
    return bisect_right(range(1, due + 1), balance, key=run.cost)


def _affordable_lines(stretches: Sequence[Stretch], balance: MicroUsd) -> list[MinuteLine] | None:
    """Return the lines of all minutes if the balance covers them, as it nearly always does; else None."""
    lines = [line for s in stretches for line in s.lines(0, s.count)]
    cost = 0
    for line in lines:
        cost += line.amount
    return sorted(lines, key=_begins) if cost <= balance else None


def _paid(wallet: Wallet, lines: list[MinuteLine], *, complete: bool) -> Settlement:
    """Pay these minutes, which are affordable all together: so it is all one which of them go first.

    ``complete``: whether they are all that is due.
    """
    if not lines:
        return Settlement()
    return Settlement(events=(_metered(wallet, lines[:LINES_MAX]),), more=not complete or len(lines) > LINES_MAX)


def _paid_as_far_as_it_goes(wallet: Wallet, stretches: Sequence[Stretch], begun: Mapping[VpsId, int]) -> Settlement:
    """Pay these minutes, and then one by one those that begin next, of which not all can be paid."""
    paid = dict(begun)
    balance = wallet.balance - sum(s.cost(begun[s.meter.vps_id]) for s in stretches)
    of_vps = {s.meter.vps_id: s for s in stretches}
    upcoming = [(s.begins(k), _order(s), vps_id) for vps_id, s in of_vps.items() if (k := begun[vps_id]) < s.count]
    heapify(upcoming)
    touched = {vps_id for vps_id, k in begun.items() if k}
    limits = _limits_after(wallet, stretches, begun)
    short: list[tuple[VpsId, Shortage]] = []
    for _ in range(SINGLE_MINUTES_MAX):
        if not upcoming or len(touched) >= LINES_MAX:
            break
        _, order, vps_id = heappop(upcoming)
        stretch, k = of_vps[vps_id], paid[vps_id]
        touched.add(vps_id)
        (line,) = stretch.lines(k, k + 1)
        if shortage := _shortage(limits, stretch.meter, line, balance):
            short.append((vps_id, shortage))
            continue
        balance -= line.amount
        limits = counted(limits, stretch.meter.token_id, line)
        paid[vps_id] = k + 1
        if k + 1 < stretch.count:
            heappush(upcoming, (stretch.begins(k + 1), order, vps_id))
    return _settled(wallet, stretches, paid, [(of_vps[vps_id], why) for vps_id, why in short], more=bool(upcoming))


def _limits_after(
    wallet: Wallet, stretches: Sequence[Stretch], begun: Mapping[VpsId, int]
) -> dict[TokenId, TokenLimit]:
    limits = wallet.limits
    for stretch in stretches if limits else ():
        for line in stretch.lines(0, begun[stretch.meter.vps_id]):
            limits = counted(limits, stretch.meter.token_id, line)
    return limits


def _shortage(limits: dict[TokenId, TokenLimit], meter: Meter, line: MinuteLine, balance: int) -> Shortage | None:
    limit = None if meter.token_id is None else limits.get(meter.token_id)
    left = None if limit is None else limit.left(line.at)
    if left is not None and line.amount > left:
        return "limit"
    return "unpaid" if line.amount > balance else None


def _settled(
    wallet: Wallet,
    stretches: Sequence[Stretch],
    paid: Mapping[VpsId, int],
    short: Sequence[tuple[Stretch, Shortage]],
    *,
    more: bool,
) -> Settlement:
    events: list[Event] = []
    if lines := _lines(stretches, paid):
        events.append(_metered(wallet, lines))
    first_unpaid = [(s, paid[s.meter.vps_id], why) for s, why in short]
    for cause in dict.fromkeys(why for _, why in short):
        lines = [line for s, k, why in first_unpaid for line in s.lines(k, k + 1) if why == cause]
        events.append(_waived(wallet, lines, cause))
    events += [_released(s.meter, s.begins(k), why) for s, k, why in first_unpaid]
    stops = tuple((s.meter.vps_id, s.meter.generation, why) for s, why in short)
    return Settlement(events=tuple(events), stops=stops, more=more)


def _lines(stretches: Sequence[Stretch], begun: Mapping[VpsId, int]) -> list[MinuteLine]:
    """Return the first minutes of each stretch, as many as have begun, in the order in which they begin."""
    by_order = [line for s in stretches for line in s.lines(0, begun[s.meter.vps_id])]
    return sorted(by_order, key=_begins)


def _metered(wallet: Wallet, lines: Iterable[MinuteLine]) -> MinutesMetered:
    return MinutesMetered(account_id=owner(wallet), lines=tuple(lines))


def _waived(wallet: Wallet, lines: Iterable[MinuteLine], cause: WaiveCause) -> MinutesWaived:
    return MinutesWaived(account_id=owner(wallet), cause=cause, lines=tuple(lines))


def _released(meter: Meter, at: Instant, cause: ReleaseCause) -> VpsReleased:
    return VpsReleased(vps_id=meter.vps_id, generation=meter.generation, at=at, cause=cause)
