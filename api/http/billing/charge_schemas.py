"""What requests about a charge tell: what it follows from, event by event, with the sum done in full."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from api.application.billing.charge_breakdown import ExplainedCharge, Part
from api.application.labels import why_not_charged
from api.http.rendering import Amount, Time, amount_number, optional_time
from domain import codec
from domain.money import ZERO, MicroUsd, charge_for_minutes
from domain.ports import Recorded
from domain.pricing.price_book import PriceBook
from domain.time import Instant, to_rfc3339
from domain.wallet.movements import Moving, movement
from projections.charges import PAID

_OUR_OWN = frozenset({"type", "account_id", "absorbed"})
"""Of an event, what its customer is told elsewhere, or what is no business of theirs."""

_VPS_ID = "01937b1e-5c00-7000-8000-000000000003"
_HOST_ID = "01937b1e-5c00-7000-8000-00000000000b"
CHARGE_SCHEMA = {"type": "string", "examples": [f"{_VPS_ID}:61", f"{_VPS_ID}:1-60"]}


def _event_example(name: str, position: int, recorded_at: str, **facts: Any) -> dict[str, Any]:
    return {
        "id": f"01937b1e-5c00-7000-8000-0000000000{position:02x}",
        "event": name,
        "position": position,
        "recorded_at": recorded_at,
        "leaf_hash": f"{position:064x}",
        "cause": None,
        "facts": facts,
    }


_STARTED = {"generation": 1, "at": "2026-11-23T17:00:09.214Z", "host_id": _HOST_ID, "start_id": "boot/1"}
_SHOWN = {"host_id": _HOST_ID, "start_id": "boot/1", "collected_at": "2026-11-23T18:00:20Z"}
EXPLAINED_EXAMPLE: dict[str, Any] = {
    "id": f"{_VPS_ID}:61",
    "amount": -0.00007,
    "vps_id": _VPS_ID,
    "token_id": None,
    "parts": [
        {
            "n_from": 61,
            "n_to": 61,
            "amount": 0.00007,
            "waived": None,
            "why": "It ran, and the balance covered it.",
            "price": {
                "plan_id": "01937b1e-5c00-7000-8000-0000000000aa",
                "plan": "Nano",
                "version": 1,
                "price_hourly": 0.0042,
                "since": "2026-11-01T00:00:00Z",
            },
            "formula": "floor(4200·61/60) − floor(4200·60/60) = 4270 − 4200 = 70",
            "cost": 0.00007,
            "started_by": [_event_example("wallet.meter-started.v2", 52, "2026-11-23T17:00:09.3Z", **_STARTED)],
            "stopped_by": [],
            "proof": "observation",
            "proven_by": _event_example("compute.host-observed.v1", 96, "2026-11-23T18:00:20.1Z", **_SHOWN),
            "minutes": [
                {
                    "n": 61,
                    "begins_at": "2026-11-23T18:00:09.214Z",
                    "cost": 0.00007,
                    "recorded_by": 97,
                    "recorded_at": "2026-11-23T18:00:20.2Z",
                }
            ],
            "recorded_by": [_event_example("wallet.minutes-metered.v1", 97, "2026-11-23T18:00:20.2Z")],
        }
    ],
    "event": None,
}


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was recorded."""

    id: UUID
    event: str
    """Its stored name."""
    position: int
    recorded_at: Time
    leaf_hash: str
    """Of its whole envelope, in hexadecimal."""
    cause: UUID | None
    """The event that it follows from."""
    facts: dict[str, Any]
    """As recorded: amounts are micro-USD."""


class ExplainedMinute(msgspec.Struct, frozen=True, kw_only=True):
    """One minute."""

    n: int
    begins_at: Time
    """t(n)."""
    cost: Amount
    recorded_by: int
    """The position of the event that recorded it."""
    recorded_at: Time


class PriceInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The price in force when the minutes began."""

    plan_id: UUID
    plan: str
    version: int
    price_hourly: Amount
    since: Time | None


class ExplainedPart(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes in a row of one start, at one price, all paid or all waived for one cause."""

    n_from: int
    n_to: int
    amount: Amount
    """What was charged; nothing where they were waived."""
    waived: Literal["unpaid", "limit", "unproven"] | None
    why: str
    price: PriceInForce
    formula: str
    """In micro-USD, with the numbers put in."""
    cost: Amount
    """What the formula comes to, charged or not."""
    started_by: list[RecordedEvent]
    """The admission, and the first login."""
    stopped_by: list[RecordedEvent]
    """The release, and what showed it off; empty while it is on."""
    proof: Literal["login", "observation"] | None
    proven_by: RecordedEvent | None
    """An observation of the host that shows the same start on, when the last of the minutes had begun."""
    minutes: list[ExplainedMinute]
    recorded_by: list[RecordedEvent]


class ChargeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind a transaction."""

    id: str
    amount: Amount
    """By how much it moved the balance."""
    vps_id: UUID | None
    token_id: UUID | None
    """Whose limit the minutes count against."""
    parts: list[ExplainedPart]
    """Of minutes."""
    event: RecordedEvent | None
    """Of funds: what moved them."""

    @classmethod
    def of(cls, charge: ExplainedCharge) -> "ChargeResponse":
        """Return what is behind a transaction as it is told."""
        if charge.entry is not None:
            event = charge.event
            return cls(
                id=charge.id,
                amount=amount_number(movement(event) if isinstance(event, Moving) else ZERO),
                vps_id=None,
                token_id=None,
                parts=[],
                event=_event(charge.entry, event),
            )
        parts = () if charge.minutes is None else charge.minutes.parts
        amount = sum(one.minute.amount for part in parts for one in part.minutes)
        return cls(
            id=charge.id,
            amount=amount_number(MicroUsd(amount)),
            vps_id=charge.vps_id,
            token_id=None if charge.minutes is None else charge.minutes.token_id,
            parts=[_part(part, charge.book) for part in parts if charge.book is not None],
            event=None,
        )


def _part(part: Part, book: PriceBook) -> ExplainedPart:
    first, line = part.first, part.first.line
    cost = charge_for_minutes(line.price_hourly, first.n, part.last.n)
    paid, count = first.cause == PAID, part.last.n - first.n + 1
    by_position = {one.recorded.position: one.recorded for one in part.minutes}
    return ExplainedPart(
        n_from=first.n,
        n_to=part.last.n,
        amount=amount_number(cost if paid else ZERO),
        waived=None if paid else first.cause,  # type: ignore[arg-type]
        why="It ran, and the balance covered it." if paid else f"Not charged: {why_not_charged(first.cause, count)}.",
        price=_price(part, book),
        formula=_formula(line.price_hourly, first.n, part.last.n),
        cost=amount_number(cost),
        started_by=[_event(one) for one in (part.admitted, part.started) if one is not None],
        stopped_by=[_event(one) for one in (part.released, part.closed) if one is not None],
        proof=_proof(part),
        proven_by=None if part.proof is None else _observation(part),
        minutes=[
            ExplainedMinute(
                n=one.minute.n,
                begins_at=to_rfc3339(one.minute.at),
                cost=amount_number(one.minute.cost),
                recorded_by=one.recorded.position,
                recorded_at=to_rfc3339(one.recorded.recorded_at),
            )
            for one in part.minutes
        ],
        recorded_by=[_event(by_position[position], facts={}) for position in sorted(by_position)],
    )


def _proof(part: Part) -> Literal["login", "observation"] | None:
    if part.proof is not None:
        return "observation"
    start = part.minutes[-1].start
    return "login" if start is not None and part.last.at <= start.at else None


def _price(part: Part, book: PriceBook) -> PriceInForce:
    line, plan = part.first.line, book.plan(part.first.line.plan_id)
    since = next((price.effective_at for price in plan.prices if price.version == line.price_version), None)
    return PriceInForce(
        plan_id=plan.id,
        plan=plan.name,
        version=line.price_version,
        price_hourly=amount_number(line.price_hourly),
        since=optional_time(since),
    )


def _formula(hourly: MicroUsd, n_from: int, n_to: int) -> str:
    until, before = hourly * n_to // 60, hourly * (n_from - 1) // 60
    return f"floor({hourly}·{n_to}/60) − floor({hourly}·{n_from - 1}/60) = {until} − {before} = {until - before}"


def _observation(part: Part) -> RecordedEvent:
    """Return an observation without what it shows of anybody else's guests."""
    assert part.proof is not None
    seen = codec.decode(part.proof)
    facts = {
        "host_id": str(part.host_id),
        "start_id": part.start_id,
        "collected_at": to_rfc3339(Instant(getattr(seen, "collected_at", 0))),
    }
    return _event(part.proof, facts=facts)


def _event(recorded: Recorded, event: Any = None, *, facts: dict[str, Any] | None = None) -> RecordedEvent:
    """Return an event as it is told, with its own facts unless others are given."""
    metadata = codec.decode_metadata(recorded)
    if facts is None:
        found = msgspec.to_builtins(event if event is not None else codec.decode(recorded))
        facts = {name: _readable(name, fact) for name, fact in found.items() if name not in _OUR_OWN}
    return RecordedEvent(
        id=metadata.id,
        event=recorded.type,
        position=recorded.position,
        recorded_at=to_rfc3339(recorded.recorded_at),
        leaf_hash=recorded.leaf_hash.hex(),
        cause=metadata.cause,
        facts=facts,
    )


def _readable(name: str, fact: object) -> object:
    is_instant = isinstance(fact, int) and (name == "at" or name.endswith("_at"))
    return to_rfc3339(Instant(int(str(fact)))) if is_instant else fact
