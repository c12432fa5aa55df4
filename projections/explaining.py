"""Explaining: where in the stream of a wallet the events behind a charge are."""

import msgspec

from domain.ids import AccountId, EventId, HostId, TokenId, VpsId
from domain.time import Instant
from projections.read_model import Connection

_ROWS = """
    SELECT first_version, last_version FROM charge
    WHERE vps_id = %s AND account_id = %s AND n_from <= %s AND n_to >= %s ORDER BY n_from, first_version
"""
_METER_EVENTS = """
    SELECT version, kind, generation, at, token_id, host_id, start_id FROM meter_event WHERE vps_id = %s
    ORDER BY version
"""
_ENTRY = "SELECT version FROM entry WHERE event_id = %s AND account_id = %s AND minutes = 0"


class MeterEvent(msgspec.Struct, frozen=True):
    """Something that the meter of a VPS went through."""

    version: int
    """In the stream of the wallet."""
    kind: str
    """``admitted``, ``started``, ``released`` or ``closed``."""
    generation: int
    at: Instant
    token_id: TokenId | None
    host_id: HostId | None
    start_id: str | None


async def charged_in(
    connection: Connection, account_id: AccountId, vps_id: VpsId, n_from: int, n_to: int
) -> list[tuple[int, int]]:
    """Return between which versions of the wallet's stream, both counted, these minutes were recorded."""
    cursor = await connection.execute(_ROWS, [vps_id, account_id, n_to, n_from])
    return [(first, last) for first, last in await cursor.fetchall()]


async def meter_events_of(connection: Connection, vps_id: VpsId) -> list[MeterEvent]:
    """Return what the meter of a VPS went through, oldest first."""
    cursor = await connection.execute(_METER_EVENTS, [vps_id])
    return [MeterEvent(*row) for row in await cursor.fetchall()]


async def version_of_entry(connection: Connection, account_id: AccountId, event_id: EventId) -> int | None:
    """Return the version of an event about funds in the wallet's stream; None where the account has no such."""
    row = await (await connection.execute(_ENTRY, [event_id, account_id])).fetchone()
    return None if row is None else int(row[0])
