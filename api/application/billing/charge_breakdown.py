"""Explaining a charge: from the minutes back to the events that they follow from."""

import re
from collections.abc import Sequence
from itertools import groupby

import msgspec

from api.application.billing.minutes import Minute, lines_in, minute_of
from api.application.caller import Caller
from api.application.ids import uuid_of
from api.application.reading import caught_up_connection
from api.application.runtime import Runtime
from api.application.streams import events_between
from domain import codec
from domain.compute.events import HostObserved
from domain.compute.host import host_ref
from domain.errors import Invalid, NotFound
from domain.events import Event
from domain.ids import AccountId, EventId, HostId, TokenId, VpsId, host_stream, wallet_stream
from domain.ports import EventStore, Recorded
from domain.pricing.price_book import PRICES, PriceBook
from domain.time import MINUTE, Instant
from projections.entries import ENTRIES
from projections.explaining import MeterEvent, charged_in, meter_events_of, version_of_entry
from projections.vps import VPS

CLOCKS_APART = 2 * MINUTE
"""How far the host's observations are looked for before the minute itself, since clocks differ."""
OBSERVATIONS_MAX = 30
"""How many observations from there on are looked at for one that shows the VPS."""

MINUTES_MAX = 120
"""Minutes explained at once; a folded line has sixty at most."""
_MINUTES = re.compile(r"([0-9a-fA-F-]{36}):([1-9][0-9]{0,8})(?:-([1-9][0-9]{0,8}))?")


class Recording(msgspec.Struct, frozen=True):
    """A minute, and the event that recorded it."""

    minute: Minute
    recorded: Recorded
    start: MeterEvent | None
    """The first login of the start that it is a minute of."""


class Part(msgspec.Struct, frozen=True):
    """Minutes in a row of one start, at one price, all paid or all waived for one cause."""

    minutes: tuple[Recording, ...]
    admitted: Recorded | None
    started: Recorded | None
    released: Recorded | None
    """None while it is on."""
    closed: Recorded | None
    """None until the host shows it off."""
    host_id: HostId | None
    start_id: str | None
    proof: Recorded | None
    """What the host showed when the last of them was proven; None where the login proves them, or nothing does."""

    @property
    def first(self) -> Minute:
        """The first of them."""
        return self.minutes[0].minute

    @property
    def last(self) -> Minute:
        """The last of them."""
        return self.minutes[-1].minute


class ExplainedMinutes(msgspec.Struct, frozen=True):
    """What is behind minutes of a VPS."""

    token_id: TokenId | None
    parts: tuple[Part, ...]


class ExplainedCharge(msgspec.Struct, frozen=True):
    """What is behind a transaction: minutes, or the one event that moved funds."""

    id: str
    vps_id: VpsId | None = None
    minutes: ExplainedMinutes | None = None
    book: PriceBook | None = None
    """The prices that minutes are explained by."""
    entry: Recorded | None = None
    event: Event | None = None
    """What ``entry`` says, in the clear."""


async def explain_charge(runtime: Runtime, caller: Caller, charge_id: str) -> ExplainedCharge:
    """Return what is behind a transaction, by its id. Raises NotFound, Invalid or ProjectionBehind."""
    found = _MINUTES.fullmatch(charge_id)
    if found is None:
        entry = await explain_entry(runtime, caller.account_id, EventId(uuid_of(charge_id)))
        return ExplainedCharge(charge_id.lower(), entry=entry, event=codec.decode(entry, runtime.sealer))
    vps_id, n_from = VpsId(uuid_of(found[1])), int(found[2])
    n_to = n_from if found[3] is None else int(found[3])
    if n_to < n_from:
        raise NotFound
    if n_to - n_from >= MINUTES_MAX:
        raise Invalid(fields={"charge_id": f"must be of at most {MINUTES_MAX} minutes"})
    book = (await runtime.aggregates.load(PRICES)).of(PRICES)
    minutes = await explain_minutes(runtime, caller.account_id, vps_id, n_from, n_to)
    return ExplainedCharge(charge_id.lower(), vps_id, minutes, book)


async def explain_minutes(
    runtime: Runtime, account_id: AccountId, vps_id: VpsId, n_from: int, n_to: int
) -> ExplainedMinutes:
    """Return what is behind these minutes. Raises NotFound where the account has not used all of them."""
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        rows = await charged_in(connection, account_id, vps_id, n_from, n_to)
        if not rows:
            raise NotFound
        meter_events = await meter_events_of(connection, vps_id)
    found: dict[int, Recording] = {}
    for first, last in rows:
        async for recorded in events_between(runtime.store, wallet_stream(account_id), first - 1, last):
            cause, lines = lines_in(recorded)
            for line in lines:
                if line.vps_id != vps_id:
                    continue
                for n in range(max(line.n_from, n_from), min(line.n_to, n_to) + 1):
                    minute = minute_of(line, n, cause)
                    found[n] = Recording(minute, recorded, _start_of(minute, recorded, meter_events))
    if len(found) != n_to - n_from + 1:
        raise NotFound
    ordered = [found[n] for n in sorted(found)]
    parts = [await _part(runtime, account_id, list(same), meter_events) for _, same in groupby(ordered, key=_alike)]
    tokens = [event.token_id for event in meter_events if event.kind == "admitted"]
    return ExplainedMinutes(tokens[0] if tokens else None, tuple(parts))


async def explain_entry(runtime: Runtime, account_id: AccountId, event_id: EventId) -> Recorded:
    """Return the event of a wallet that moved funds. Raises NotFound where the account has no such."""
    async with caught_up_connection(runtime, ENTRIES, VPS) as connection:
        version = await version_of_entry(connection, account_id, event_id)
    if version is None:
        raise NotFound
    await runtime.sealer.load([account_id])
    return await _event(runtime.store, account_id, version)


async def _part(
    runtime: Runtime, account_id: AccountId, minutes: Sequence[Recording], meter_events: Sequence[MeterEvent]
) -> Part:
    start = minutes[0].start
    by_kind: dict[str, Recorded] = {}
    if start is not None:
        for event in meter_events:
            if event.generation == start.generation and event.kind not in by_kind:
                by_kind[event.kind] = await _event(runtime.store, account_id, event.version)
    last = minutes[-1]
    return Part(
        minutes=tuple(minutes),
        admitted=by_kind.get("admitted"),
        started=by_kind.get("started"),
        released=by_kind.get("released"),
        closed=by_kind.get("closed"),
        host_id=None if start is None else start.host_id,
        start_id=None if start is None else start.start_id,
        proof=await _observation(runtime, last),
    )


def _start_of(minute: Minute, recorded: Recorded, meter_events: Sequence[MeterEvent]) -> MeterEvent | None:
    starts = [
        event
        for event in meter_events
        if event.kind == "started" and event.version < recorded.version and event.at <= minute.at
    ]
    return starts[-1] if starts else None


def _alike(one: Recording) -> tuple[object, ...]:
    line = one.minute.line
    return (one.minute.cause, line.plan_id, line.price_version, one.start and one.start.version)


async def _event(store: EventStore, account_id: AccountId, version: int) -> Recorded:
    (recorded,) = await store.read_stream(wallet_stream(account_id), version - 1, version)
    return recorded


async def _observation(runtime: Runtime, last: Recording) -> Recorded | None:
    """Return the first observation of the minute's own start from its beginning on, as far as it was known by then."""
    start, at = last.start, last.minute.at
    if start is None or start.host_id is None or at <= start.at or last.minute.cause == "unproven":
        return None
    ref, stream = host_ref(start.host_id), host_stream(start.host_id)
    head = (await runtime.aggregates.load(ref)).version(stream)
    first = await _first_recorded_since(runtime.store, start.host_id, Instant(at - CLOCKS_APART), head)
    async for recorded in events_between(runtime.store, stream, first - 1, first - 1 + OBSERVATIONS_MAX):
        if recorded.position > last.recorded.position:
            return None
        event = codec.decode(recorded)
        if isinstance(event, HostObserved) and event.collected_at >= at and _shows(event, last.minute.vps_id, start):
            return recorded
    return None


async def _first_recorded_since(store: EventStore, host_id: HostId, at: Instant, head: int) -> int:
    """Return the first version of a host's stream that was recorded at an instant or later."""
    low, high = 1, head + 1
    while low < high:
        middle = (low + high) // 2
        (recorded,) = await store.read_stream(host_stream(host_id), middle - 1, middle)
        if recorded.recorded_at < at:
            low = middle + 1
        else:
            high = middle
    return low


def _shows(event: HostObserved, vps_id: VpsId, start: MeterEvent) -> bool:
    return any(guest.running and guest.vps_id == vps_id and guest.start_id == start.start_id for guest in event.guests)
