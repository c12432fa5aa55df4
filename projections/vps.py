"""The VPSs of each account, as the fold of their own events shows them; names and labels stay sealed."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, LiteralString, get_args

import msgspec

from domain.compute import events
from domain.compute.vps import FOLD, State, Vps
from domain.ids import AccountId, EventId, VpsId
from domain.ports import Sealer
from projections.read_model import Connection, Entry, ReadModel, columns_of

_SQL = """
CREATE TABLE vps (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL,
    gone boolean NOT NULL,
    folded text NOT NULL,
    event_id uuid NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX vps_of_account ON vps (account_id, position DESC) WHERE NOT gone;
"""
_READ = "SELECT id, folded, event_id, position FROM vps WHERE id = ANY(%b::uuid[])"
_WRITE = """
    INSERT INTO vps (id, account_id, state, gone, folded, event_id, position)
    SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::boolean[], %b::text[], %b::uuid[], %b::bigint[])
    ON CONFLICT (id) DO UPDATE SET state = excluded.state, gone = excluded.gone, folded = excluded.folded
"""
_COUNT = """
    SELECT count(*) FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
"""
# Beyond every position where no bound is given: so it stays one that the index can begin at.
_BEFORE = """
    SELECT folded, event_id, position FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
        AND position < coalesce(%(place)s, 9223372036854775807)
    ORDER BY position DESC LIMIT %(limit)s OFFSET %(offset)s
"""
_AFTER = """
    SELECT folded, event_id, position FROM vps
    WHERE account_id = %(account_id)s AND NOT gone AND (%(state)s::text IS NULL OR state = %(state)s)
        AND position > %(place)s
    ORDER BY position LIMIT %(limit)s
"""
_BY_ID = "SELECT folded, event_id, position FROM vps WHERE id = ANY(%b::uuid[])"
_BY_IDS = "SELECT folded, event_id, position FROM vps WHERE id = ANY(%b::uuid[]) AND account_id = %s"

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Vps)


class VpsRow(msgspec.Struct, frozen=True):
    """One VPS; ``name`` and ``labels`` are sealed, keys and user data are left out."""

    vps: Vps
    event_id: EventId
    """Of the event that asked for it, in which name and labels are sealed."""
    position: int
    """Of that event: its place in lists, which never changes."""

    def opened(self, account_id: AccountId, sealer: Sealer) -> Vps:
        """Return the VPS with name and labels in the clear; the key of the account must be at hand.

        Raises SealBroken where they are not those of this account and event.
        """
        vps = self.vps
        name = sealer.unseal(account_id, self.event_id, "name", vps.name)
        labels = None if vps.labels is None else sealer.unseal(account_id, self.event_id, "labels", vps.labels)
        return msgspec.structs.replace(vps, name=name, labels=labels)


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


async def vpss_by_id(connection: Connection, vps_ids: Sequence[VpsId]) -> list[VpsRow]:
    """Return these VPSs as ``vpss_of`` does, those among them that are gone as well."""
    return await _rows(connection, _BY_ID, [list(vps_ids)])


async def vpss_by_ids(connection: Connection, account_id: AccountId, vps_ids: Collection[VpsId]) -> dict[VpsId, VpsRow]:
    """Return VPSs of an account, deleted ones included."""
    return {row.vps.vps_id: row for row in await _rows(connection, _BY_IDS, [list(vps_ids), account_id])}


async def _rows(connection: Connection, sql: LiteralString, asked: Mapping[str, Any] | Sequence[Any]) -> list[VpsRow]:
    cursor = await connection.execute(sql, asked)
    return [VpsRow(_from_json.decode(folded), *told) for folded, *told in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    streams = list({entry.recorded.stream for entry in batch})
    cursor = await connection.execute(_READ, [streams])
    folded: dict[object, tuple[Vps | None, EventId, int]] = {
        id_: (_from_json.decode(text), event_id, position) for id_, text, event_id, position in await cursor.fetchall()
    }
    for entry in batch:
        stream = entry.recorded.stream
        if stream not in folded:
            folded[stream] = (FOLD.initial, entry.metadata.id, entry.recorded.position)
        before, event_id, position = folded[stream]
        folded[stream] = (FOLD.evolve(before, entry.event), event_id, position)
    await connection.execute(_WRITE, columns_of(_row(*row) for row in folded.values()))


def _row(vps: Vps | None, event_id: EventId, position: int) -> tuple[object, ...]:
    assert vps is not None, "the first event of a VPS makes it"
    kept = msgspec.structs.replace(vps, authorized_keys=(), user_data=None)
    text = _to_json.encode(kept).decode()
    return vps.vps_id, vps.account_id, vps.state, vps.gone, text, event_id, position


VPS = ReadModel(
    name="vps",
    tables=("vps",),
    sql=_SQL,
    events=(events.VpsRequested, *get_args(events.VpsEvent)),
    apply=_apply,
    keeps=(Vps,),
)
