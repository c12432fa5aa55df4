"""The VPSs of each account, as the fold of their own events shows them; names and labels stay sealed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString, get_args
from uuid import UUID

import msgspec

from domain.compute import events
from domain.compute.vps import FOLD, State, Vps, without_names
from domain.events import Event
from domain.ids import AccountId, EventId, VpsId
from domain.ports import Sealer
from domain.time import Instant
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE vps (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL,
    gone boolean NOT NULL,
    folded text NOT NULL,
    sealed_in text NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX vps_of_account ON vps (account_id, position DESC) WHERE NOT gone;
CREATE TABLE vps_name (
    vps_id uuid NOT NULL,
    position bigint NOT NULL,
    recorded_at bigint NOT NULL,
    event_id uuid NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (vps_id, position)
);
"""
_READ = "SELECT id, folded, sealed_in, position FROM vps WHERE id = ANY(%b::uuid[])"
_WRITE = """
    INSERT INTO vps (id, account_id, state, gone, folded, sealed_in, position)
    SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::boolean[], %b::text[], %b::text[], %b::bigint[])
    ON CONFLICT (id) DO UPDATE
    SET state = excluded.state, gone = excluded.gone, folded = excluded.folded, sealed_in = excluded.sealed_in
"""
_WRITE_NAMES = """
    INSERT INTO vps_name (vps_id, position, recorded_at, event_id, name)
    SELECT * FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::uuid[], %b::text[])
"""
_NAMES_BEFORE = """
    SELECT DISTINCT ON (vps_id) vps_id, event_id, name FROM vps_name
    WHERE vps_id = ANY(%b::uuid[]) AND recorded_at < %b ORDER BY vps_id, position DESC
"""
_COUNT = """
    SELECT count(*) FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
"""
# Beyond every position where no bound is given: so it stays one that the index can begin at.
_BEFORE = """
    SELECT folded, sealed_in, position FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
        AND position < coalesce(%(place)s, 9223372036854775807)
    ORDER BY position DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_AFTER = """
    SELECT folded, sealed_in, position FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
        AND position > %(place)s
    ORDER BY position LIMIT %(limit)s
"""
_BY_IDS = "SELECT folded, sealed_in, position FROM vps WHERE id = ANY(%b::uuid[]) AND account_id = %s"

_SEALED: dict[type[Event], dict[str, str]] = {
    events.VpsRequested: {"name": "name", "labels": "labels"},
    events.VpsRenamed: {"name": "name"},
    events.VpsLabelled: {"labels": "labels"},
    events.VpsEgressSet: {"egress": "egress"},
    events.VpsTemplateUsed: {"template": "template"},
    events.VpsUserDataEnded: {"user_data_output": "output"},
}
"""Which fields of a VPS stay as they were sealed, and in which field of which event that was."""

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Vps)


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """Where a field of a VPS was sealed."""

    event_id: EventId
    field: str
    """Its name in that event."""


_from_places = msgspec.json.Decoder(dict[str, Sealed])


class VpsRow(msgspec.Struct, frozen=True):
    """One VPS; what is personal of it is sealed; keys, user data and names of snapshots are left out."""

    vps: Vps
    sealed_in: dict[str, Sealed]
    """By field that is sealed."""
    position: int
    """Of the event that asked for it: its place in lists, which never changes."""

    def opened(self, account_id: AccountId, sealer: Sealer) -> Vps:
        """Return the VPS in the clear; the key of the account must be at hand.

        Raises SealBroken where something is not that of this account and event.
        """
        return msgspec.structs.replace(
            self.vps,
            **{
                name: sealer.unseal(account_id, place.event_id, place.field, getattr(self.vps, name))
                for name, place in self.sealed_in.items()
            },
        )


async def count_of(connection: Connection, account_id: AccountId, state: State | None = None) -> int:
    """Return how many VPSs exist for an account."""
    counted = await (await connection.execute(_COUNT, {"account_id": account_id, "state": state})).fetchone()
    assert counted is not None
    return int(counted[0])


async def vpss_of(
    connection: Connection,
    account_id: AccountId,
    *,
    state: State | None = None,
    limit: int,
    offset: int = 0,
    before: int | None = None,
) -> list[VpsRow]:
    """Return VPSs of an account that exist for it, newest first, those alone that were asked for before a position."""
    asked = {"account_id": account_id, "state": state, "limit": limit, "offset": offset, "place": before}
    return await _rows(connection, _BEFORE, asked)


async def vpss_after(
    connection: Connection, account_id: AccountId, *, state: State | None = None, limit: int, after: int
) -> list[VpsRow]:
    """Return VPSs of an account that were asked for after a position, oldest first."""
    asked = {"account_id": account_id, "state": state, "limit": limit, "place": after}
    return await _rows(connection, _AFTER, asked)


async def names_before(
    connection: Connection, vps_ids: Collection[VpsId], before: Instant
) -> list[tuple[VpsId, EventId, str]]:
    """Return the last name that each of these VPSs had before an instant: by which event, and sealed in it."""
    cursor = await connection.execute(_NAMES_BEFORE, [list(vps_ids), before])
    return [(VpsId(vps_id), EventId(event_id), name) for vps_id, event_id, name in await cursor.fetchall()]


async def vpss_by_ids(connection: Connection, account_id: AccountId, vps_ids: Collection[VpsId]) -> dict[VpsId, VpsRow]:
    """Return VPSs of an account, deleted ones included."""
    return {row.vps.vps_id: row for row in await _rows(connection, _BY_IDS, [list(vps_ids), account_id])}


async def _rows(connection: Connection, sql: LiteralString, asked: Mapping[str, Any] | Sequence[Any]) -> list[VpsRow]:
    cursor = await connection.execute(sql, asked)
    rows = await cursor.fetchall()
    return [
        VpsRow(_from_json.decode(folded), _from_places.decode(places), position) for folded, places, position in rows
    ]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    streams = list({entry.recorded.stream for entry in batch})
    cursor = await connection.execute(_READ, [streams])
    folded: dict[object, tuple[Vps | None, dict[str, Sealed], int]] = {
        id_: (_from_json.decode(text), _from_places.decode(places), position)
        for id_, text, places, position in await cursor.fetchall()
    }
    names: list[tuple[UUID, int, int, EventId, str]] = []
    for entry in batch:
        stream = entry.recorded.stream
        before, places, position = folded.get(stream, (FOLD.initial, {}, entry.recorded.position))
        sealed = {name: Sealed(entry.metadata.id, field) for name, field in _SEALED.get(type(entry.event), {}).items()}
        folded[stream] = (FOLD.evolve(before, entry.event), places | sealed, position)
        if isinstance(entry.event, events.VpsRequested | events.VpsRenamed):
            recorded = entry.recorded
            names.append((stream, recorded.position, recorded.recorded_at, entry.metadata.id, entry.event.name))
    await connection.execute(_WRITE, columns_of(_row(*row) for row in folded.values()))
    if names:
        await connection.execute(_WRITE_NAMES, columns_of(names))


def _row(vps: Vps | None, places: dict[str, Sealed], position: int) -> tuple[object, ...]:
    assert vps is not None, "the first event of a VPS makes it"
    kept = msgspec.structs.replace(without_names(vps), authorized_keys=(), user_data=None)
    sealed_in = {name: place for name, place in places.items() if getattr(kept, name) is not None}
    text, where = _to_json.encode(kept).decode(), _to_json.encode(sealed_in).decode()
    return vps.vps_id, vps.account_id, vps.state, vps.gone, text, where, position


VPS = ReadModel(
    name="vps",
    tables=("vps", "vps_name"),
    sql=_SQL,
    events=(events.VpsRequested, *get_args(events.VpsEvent)),
    apply=_apply,
    keeps=(Vps,),
)
