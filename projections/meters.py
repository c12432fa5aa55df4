"""Meters: when the next minute of each VPS begins, so that what is due is found without reading wallets."""

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from uuid import UUID

import msgspec

from domain.events import Event
from domain.ids import AccountId, StreamId, VpsId
from domain.time import Instant
from domain.wallet.events import (
    MeterClosed,
    MeterStarted,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
)
from domain.wallet.meter import Meter
from domain.wallet.wallet import Wallet, evolve
from projections.read_model import Connection, Entry, ReadModel, columns_of
from projections.reading import ReadModels

_SQL = """
CREATE TABLE meter (
    vps_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    due_at bigint,
    folded text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX meter_due ON meter (account_id, due_at) WHERE due_at IS NOT NULL;
"""
_READ = "SELECT vps_id, account_id, folded FROM meter WHERE vps_id = ANY(%b::uuid[])"
_WRITE = """
    INSERT INTO meter (vps_id, account_id, due_at, folded)
    SELECT * FROM unnest(%b::uuid[], %b::uuid[], %b::bigint[], %b::text[])
    ON CONFLICT (vps_id) DO UPDATE SET due_at = excluded.due_at, folded = excluded.folded
"""
_REMOVE = "DELETE FROM meter WHERE vps_id = ANY(%b::uuid[])"
_DUE = """
    SELECT DISTINCT account_id FROM meter WHERE due_at <= %s AND account_id > %s ORDER BY account_id LIMIT %s
"""
_BEFORE_ALL = UUID(int=0)

_to_json = msgspec.json.Encoder()
_from_json = msgspec.json.Decoder(Meter)


class TabledDueAccounts:
    """Implements ``domain.wallet.ports.DueAccounts`` by this read model."""

    def __init__(self, read_models: ReadModels) -> None:
        self._read_models = read_models

    async def due_accounts(self, now: Instant, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return accounts with a minute that begins by ``now``; see ``DueAccounts.due_accounts``."""
        async with self._read_models.at(0, METERS) as connection:
            cursor = await connection.execute(_DUE, [now, after or _BEFORE_ALL, limit])
            return [AccountId(account_id) for (account_id,) in await cursor.fetchall()]


async def _apply(connection: Connection, batch: Sequence[Entry]) -> None:
    by_wallet: defaultdict[StreamId, list[Event]] = defaultdict(list)
    for entry in batch:
        by_wallet[entry.recorded.stream].append(entry.event)
    vps_ids = {stream: set[VpsId]().union(*map(_touched_by, events)) for stream, events in by_wallet.items()}
    cursor = await connection.execute(_READ, [list(set[VpsId]().union(*vps_ids.values()))])
    kept: dict[VpsId, Meter] = {}
    owners: dict[VpsId, AccountId] = {}
    for vps_id, account_id, folded in await cursor.fetchall():
        kept[vps_id], owners[vps_id] = _from_json.decode(folded), account_id
    owners |= {e.event.vps_id: e.event.account_id for e in batch if isinstance(e.event, VpsAdmitted)}
    after: dict[VpsId, Meter] = {}
    for stream, events in by_wallet.items():
        # A wallet with only those meters that change: the rest of it makes no difference to them.
        wallet = Wallet(meters={vps_id: kept[vps_id] for vps_id in vps_ids[stream] if vps_id in kept})
        after |= reduce(evolve, events, wallet).meters
    if after:
        await connection.execute(_WRITE, columns_of(_row(owners[vps_id], after[vps_id]) for vps_id in after))
    if gone := kept.keys() - after.keys():
        await connection.execute(_REMOVE, [list(gone)])


def _touched_by(event: Event) -> set[VpsId]:
    if isinstance(event, MinutesMetered | MinutesWaived):
        return {line.vps_id for line in event.lines}
    assert isinstance(event, VpsAdmitted | MeterStarted | VpsReleased | MeterClosed)
    return {event.vps_id}


def _row(account_id: UUID, meter: Meter) -> tuple[object, ...]:
    return meter.vps_id, account_id, meter.due_at, _to_json.encode(meter).decode()


METERS = ReadModel(
    name="meters",
    tables=("meter",),
    sql=_SQL,
    events=(VpsAdmitted, MeterStarted, VpsReleased, MeterClosed, MinutesMetered, MinutesWaived),
    apply=_apply,
    keeps=(Meter,),
)
