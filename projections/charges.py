"""Charges: the minutes of each VPS, paid and waived, folded to a row an hour, and what its meter went through."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from domain.ids import AccountId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.time import HOUR, MINUTE, Instant, to_datetime
from domain.wallet.events import (
    MeterClosed,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
)
from projections.packed import Packed, int4s, int8s, texts, uuids
from projections.read_model import Connection, Entry, columns_of

PAID = "paid"
"""The cause of minutes that were charged; of others it is why they were waived."""

CHARGES_SQL = """
CREATE TABLE charge (
    vps_id uuid NOT NULL,
    hour integer NOT NULL,
    cause text NOT NULL,
    price_version integer NOT NULL,
    month integer NOT NULL,
    account_id uuid NOT NULL,
    plan_id uuid NOT NULL,
    price_hourly bigint NOT NULL,
    at bigint NOT NULL,
    first_position bigint NOT NULL,
    place integer NOT NULL,
    first_recorded_at bigint NOT NULL,
    first_version integer NOT NULL,
    n_from integer NOT NULL,
    n_to integer NOT NULL,
    minutes integer NOT NULL,
    amount bigint NOT NULL,
    last_at bigint NOT NULL,
    last_recorded_at bigint NOT NULL,
    last_version integer NOT NULL,
    balance_after bigint NOT NULL,
    PRIMARY KEY (vps_id, hour, cause, price_version, month)
) WITH (fillfactor = 70);
CREATE INDEX charge_of_account ON charge (account_id, first_position, place);
CREATE TABLE meter_event (
    vps_id uuid NOT NULL,
    version integer NOT NULL,
    position bigint NOT NULL,
    recorded_at bigint NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    generation integer NOT NULL,
    at bigint NOT NULL,
    account_id uuid,
    token_id uuid,
    host_id uuid,
    start_id text,
    cause text,
    PRIMARY KEY (vps_id, version)
);
"""
_ADD = """
    INSERT INTO charge AS c (
        vps_id, hour, cause, price_version, month, account_id, plan_id, price_hourly, at,
        first_position, place, first_recorded_at, first_version,
        n_from, n_to, minutes, amount, last_at, last_recorded_at, last_version, balance_after
    )
    SELECT * FROM unnest(
        %b::uuid[], %b::int4[], %b::text[], %b::int4[], %b::int4[], %b::uuid[], %b::uuid[], %b::int8[], %b::int8[],
        %b::int8[], %b::int4[], %b::int8[], %b::int4[],
        %b::int4[], %b::int4[], %b::int4[], %b::int8[], %b::int8[], %b::int8[], %b::int4[], %b::int8[]
    )
    ON CONFLICT (vps_id, hour, cause, price_version, month) DO UPDATE SET
        n_to = excluded.n_to, minutes = c.minutes + excluded.minutes, amount = c.amount + excluded.amount,
        last_at = excluded.last_at, last_recorded_at = excluded.last_recorded_at,
        last_version = excluded.last_version, balance_after = excluded.balance_after
"""
_PACKED: tuple[Callable[[Any], Packed], ...] = (
    *(uuids, int4s, texts, int4s, int4s, uuids, uuids, int8s, int8s),
    *(int8s, int4s, int8s, int4s),
    *(int4s, int4s, int4s, int8s, int8s, int8s, int4s, int8s),
)
"""How each of these columns is made: there may be tens of thousands of rows in a batch."""
_ADD_METER_EVENTS = """
    INSERT INTO meter_event (
        vps_id, version, position, recorded_at, event_id, kind, generation, at,
        account_id, token_id, host_id, start_id, cause
    )
    SELECT * FROM unnest(
        %b::uuid[], %b::int4[], %b::int8[], %b::int8[], %b::uuid[], %b::text[], %b::int4[], %b::int8[],
        %b::uuid[], %b::uuid[], %b::uuid[], %b::text[], %b::text[]
    )
"""


class Span(msgspec.Struct, frozen=True):
    """Minutes ``n_from`` to ``n_to`` of a line, all of which begin within one hour."""

    hour: int
    n_from: int
    n_to: int
    at: Instant
    amount: MicroUsd


class Recording(msgspec.Struct, frozen=True):
    """Where and when minutes were recorded, and what that left of the balance."""

    account_id: AccountId
    position: int
    version: int
    recorded_at: Instant
    balance_after: MicroUsd


class _Charge:
    """A row as it grows while a batch is folded."""

    __slots__ = ("amount", "balance_after", "first", "head", "last", "last_at", "minutes", "n_from", "n_to", "vps_id")

    def __init__(self, vps_id: VpsId, head: tuple[object, ...], span: Span, at: Recording) -> None:
        self.vps_id, self.head, self.first, self.n_from = vps_id, head, (at.recorded_at, at.version), span.n_from
        self.minutes, self.amount = 0, 0
        self.add(span, at)

    def add(self, span: Span, at: Recording) -> None:
        """Take in more minutes."""
        count = span.n_to - span.n_from + 1
        self.n_to, self.minutes, self.amount = span.n_to, self.minutes + count, self.amount + span.amount
        self.last_at = span.at + (count - 1) * MINUTE
        self.last, self.balance_after = (at.recorded_at, at.version), at.balance_after

    def row(self, key: tuple[object, ...]) -> tuple[object, ...]:
        return (
            *(self.vps_id, *key[1:], *self.head, *self.first, self.n_from, self.n_to, self.minutes, self.amount),
            *(self.last_at, *self.last, self.balance_after),
        )


class Charges:
    """The rows of a batch."""

    def __init__(self) -> None:
        self._rows: dict[tuple[object, ...], _Charge] = {}
        """By number of the VPS, hour, cause, price version and month: a UUID's own hash takes longer than all else."""
        self._meter_events: list[tuple[object, ...]] = []

    def add(self, event: MinutesMetered | MinutesWaived, at: Recording) -> None:
        """Take in the minutes of an event."""
        cause = PAID if isinstance(event, MinutesMetered) else event.cause
        month, place = recorded_month(at.recorded_at), 0
        for line in event.lines:
            for span in spans(line):
                key = (line.vps_id.int, span.hour, cause, line.price_version, month)
                place += 1
                if (row := self._rows.get(key)) is not None:
                    row.add(span, at)
                    continue
                head = (at.account_id, line.plan_id, line.price_hourly, span.at, at.position, place)
                self._rows[key] = _Charge(line.vps_id, head, span, at)

    def add_meter_event(self, entry: Entry) -> None:
        """Take in what a meter went through."""
        event, recorded = entry.event, entry.recorded
        assert isinstance(event, VpsAdmitted | MeterStarted | VpsReleased | MeterClosed)
        told: tuple[object, ...]
        match event:
            case VpsAdmitted():
                told = ("admitted", event.generation, recorded.happened_at, event.account_id, event.token_id)
            case MeterStarted():
                told = ("started", event.generation, event.at, None, None, event.host_id, event.start_id)
            case VpsReleased():
                told = ("released", event.generation, event.at, None, None, None, None, event.cause)
            case MeterClosed():
                told = ("closed", event.generation, event.off_at)
        where = (event.vps_id, recorded.version, recorded.position, recorded.recorded_at, entry.event_id)
        row = (*where, *told)
        self._meter_events.append((*row, *(None,) * (13 - len(row))))

    async def write(self, connection: Connection) -> None:
        """Write the rows."""
        if self._rows:
            columns = columns_of(row.row(key) for key, row in self._rows.items())
            packed = [pack(column) for pack, column in zip(_PACKED, columns, strict=True)]
            await connection.execute(_ADD, packed)
        if self._meter_events:
            await connection.execute(_ADD_METER_EVENTS, columns_of(self._meter_events))


def spans(line: MinuteLine) -> Iterable[Span]:
    """Return a line in parts, one for each hour of UTC in which minutes of it begin."""
    if line.n_from == line.n_to:  # As nearly always.
        return (Span(line.at // HOUR, line.n_from, line.n_to, line.at, line.amount),)
    return _by_hour(line)


def _by_hour(line: MinuteLine) -> Iterator[Span]:
    n, at = line.n_from, line.at
    while n <= line.n_to:
        hour = at // HOUR
        count = min(line.n_to - n + 1, -(-((hour + 1) * HOUR - at) // MINUTE))
        if count == line.n_to - line.n_from + 1:
            amount = line.amount
        else:
            amount = charge_for_minutes(line.price_hourly, n, n + count - 1)
        yield Span(hour, n, n + count - 1, Instant(at), amount)
        n, at = n + count, Instant(at + count * MINUTE)


def recorded_month(at: Instant) -> int:
    """Return the month of an instant in UTC, counted from that of the year 0."""
    return _month_of_hour(at // HOUR)


@lru_cache(maxsize=1024)
def _month_of_hour(hour: int) -> int:
    moment = to_datetime(Instant(hour * HOUR))
    return moment.year * 12 + moment.month - 1
