"""The meter of a VPS: what it has used, and how far its present start has come."""

import msgspec

from domain.ids import HostId, PlanId, TokenId, VpsId
from domain.money import ZERO, MicroUsd
from domain.time import MINUTE, Instant
from domain.wallet.events import MinuteLine, ReleaseCause, VpsAdmitted, VpsReleased

RUNS_ON: frozenset[ReleaseCause] = frozenset({"unpaid", "limit", "frozen"})
"""After a release for want of funds the guest runs until its stop takes hold: minutes that nobody pays."""


class Meter(msgspec.Struct, frozen=True, gc=False):
    """What a VPS has used and may still owe. It goes on counting over all starts of its VPS."""

    vps_id: VpsId
    generation: int
    """The start that the fields from ``run_from`` on are about."""
    plan_id: PlanId
    token_id: TokenId | None
    created_at: Instant
    used_n: int = 0
    """The last minute used, paid or waived."""
    paid_n: int = 0
    """How many minutes were paid."""
    paid: MicroUsd = ZERO
    """What they cost together."""
    paid_until: Instant | None = None
    """When the last paid minute is over: until then a later start of the same plan runs on it."""
    paid_plan_id: PlanId | None = None
    """The plan that was paid for it."""
    next_at: Instant | None = None
    """Before this no minute of the present start begins: when its last used one is over, or what was paid before it."""
    run_from: Instant | None = None
    """The first login of this start; None while it boots."""
    host_id: HostId | None = None
    start_id: str | None = None
    """Where it runs, and as which start of its guest; None also where that was not recorded here."""
    runs_until: Instant | None = None
    """Stop or delete accepted, off, or in error: from here the VPS counts as not running."""
    released_at: Instant | None = None
    """From here nothing is charged: ``runs_until``, or earlier where a minute could not be paid."""
    release_cause: ReleaseCause | None = None
    """Why nothing is charged any more: of several releases, why the earliest."""
    snapshots_gb: int = 0
    """What its snapshots may take of its host's disk together, GiB."""
    deleted: bool = False
    closed: bool = False
    """The host showed this start off, or it never ran: no more minutes of it fall due."""

    @property
    def on(self) -> bool:
        """Whether an hour of this VPS is held back at each admission."""
        return self.released_at is None

    @property
    def first_due_at(self) -> Instant | None:
        """When the next minute begins if the VPS still runs by then; None while it boots or once closed."""
        if self.run_from is None or self.closed:
            return None
        return self.run_from if self.next_at is None else max(self.next_at, self.run_from)

    @property
    def due_at(self) -> Instant | None:
        """When the next minute begins that is to be paid; None where there is none as things stand."""
        first = self.first_due_at
        if first is None or (self.released_at is not None and first >= self.released_at):
            return None
        return first


def admitted(before: Meter | None, event: VpsAdmitted) -> Meter:
    """Return the meter of a VPS that may be on, with what its earlier starts used.

    What it paid goes on covering it as long as it is of the plan that was paid for: or a minute of a small plan would
    cover a run of a large one, again and again. A waived minute covers nothing beyond the start that it ended: whoever
    powers a guest off just after a minute has begun, and so proves nothing of it, would else run the rest of it free.
    """
    covered = before is not None and before.paid_plan_id == event.plan_id
    return Meter(
        vps_id=event.vps_id,
        generation=event.generation,
        plan_id=event.plan_id,
        token_id=event.token_id,
        created_at=event.created_at,
        used_n=before.used_n if before else 0,
        paid_n=before.paid_n if before else 0,
        paid=before.paid if before else ZERO,
        paid_until=before.paid_until if before else None,
        paid_plan_id=before.paid_plan_id if before else None,
        next_at=before.paid_until if before and covered else None,
        snapshots_gb=before.snapshots_gb if before else 0,
    )


def released(meter: Meter, event: VpsReleased) -> Meter:
    """Return the meter of a VPS that is no longer on."""
    runs_until = meter.runs_until if event.cause in RUNS_ON else _earlier(meter.runs_until, event.at)
    return msgspec.structs.replace(
        meter,
        runs_until=runs_until,
        released_at=_earlier(meter.released_at, event.at),
        release_cause=meter.release_cause if _stays(meter, event) else event.cause,
        deleted=meter.deleted or event.cause == "delete",
        closed=meter.closed or meter.run_from is None,
    )


def used(meter: Meter, line: MinuteLine, *, paid: bool) -> Meter:
    """Return a meter of which these minutes are used up."""
    count = line.n_to - line.n_from + 1
    over_at = Instant(line.at + count * MINUTE)
    return msgspec.structs.replace(
        meter,
        used_n=line.n_to,
        paid_n=meter.paid_n + (count if paid else 0),
        paid=MicroUsd(meter.paid + (line.amount if paid else 0)),
        paid_until=over_at if paid else meter.paid_until,
        paid_plan_id=line.plan_id if paid else meter.paid_plan_id,
        next_at=over_at,
    )


def _stays(meter: Meter, event: VpsReleased) -> bool:
    return meter.released_at is not None and meter.released_at <= event.at


def _earlier(one: Instant | None, other: Instant) -> Instant:
    return other if one is None else min(one, other)
