"""Statements computed from a wallet's own events, all of them each time: for stores of a few thousand events."""

from collections.abc import Collection, Iterable, Iterator

from api.application.statements.source import ComputedStatement
from api.application.streams import events_between
from domain import codec
from domain.compute.events import VpsRenamed, VpsRequested
from domain.events import Event
from domain.ids import AccountId, EventId, VpsId, vps_stream, wallet_stream
from domain.money import MicroUsd
from domain.ports import EventStore, Recorded, Sealer
from domain.statements.events import StatementIssued
from domain.statements.month import Month, month_of
from domain.statements.statement import Entry, Single, Statement, entry_of, folded_minutes
from domain.wallet.events import MinutesMetered, MinutesWaived
from domain.wallet.movements import Moving, movement
from projections.statements import Issued

_FEED_BATCH = 5_000

DecodedEvent = tuple[Recorded, Event]


class FoldedStatements:
    """Implements ``StatementSource`` over a store."""

    def __init__(self, store: EventStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def compute(self, account_id: AccountId, month: Month) -> ComputedStatement | None:
        """Return the statement of a month, reasons unsealed; None where there was no wallet by its end."""
        until = await self._store.head()
        await self._sealer.load([account_id])
        stream = wallet_stream(account_id)
        last = (await self._store.versions([stream])).get(stream, 0)
        recorded = [one async for one in events_between(self._store, stream, 0, last)]
        if not recorded or recorded[0].recorded_at >= month.ends:
            return None
        events = [(one, codec.decode(one, self._sealer)) for one in recorded if one.recorded_at < month.ends]
        issued = [one for one in await self.issued(account_id) if one.statement.month == str(month)]
        return ComputedStatement(statement_of(account_id, month, events), until, issued[0] if issued else None)

    async def issued(self, account_id: AccountId) -> list[Issued]:
        """Return the statements that have a number, the newest month first."""
        found = [
            Issued(recorded.recorded_at, event)
            for recorded, event in await self._everything()
            if isinstance(event, StatementIssued) and event.account_id == account_id
        ]
        return sorted(found, key=lambda one: one.statement.month, reverse=True)

    async def due(
        self, before: Month, after: tuple[AccountId, Month] | None, limit: int
    ) -> list[tuple[AccountId, Month]]:
        """Return accounts and months whose statement has no number yet; see ``StatementSource.due``."""
        moved: set[tuple[AccountId, Month]] = set()
        issued: set[tuple[AccountId, str]] = set()
        for recorded, event in await self._everything():
            if isinstance(event, Single | MinutesMetered | MinutesWaived):
                moved.add((event.account_id, month_of(recorded.recorded_at)))
            elif isinstance(event, StatementIssued):
                issued.add((event.account_id, event.month))
        due = [one for one in moved if one[1] < before and (one[0], str(one[1])) not in issued]
        ordered = sorted(due, key=_by_month)
        return [one for one in ordered if after is None or _by_month(one) > _by_month(after)][:limit]

    async def names(self, account_id: AccountId, vps_ids: Collection[VpsId], month: Month) -> dict[VpsId, str]:
        """Return the names that VPSs of an account had last in a month; see ``StatementSource.names``."""
        await self._sealer.load([account_id])
        names: dict[VpsId, str] = {}
        for vps_id in vps_ids:
            stream = vps_stream(vps_id)
            last = (await self._store.versions([stream])).get(stream, 0)
            async for recorded in events_between(self._store, stream, 0, last):
                event = codec.decode(recorded, self._sealer)
                if isinstance(event, VpsRequested | VpsRenamed) and recorded.recorded_at < month.ends:
                    names[vps_id] = event.name
        return names

    async def _everything(self) -> list[DecodedEvent]:
        everything: list[DecodedEvent] = []
        while batch := await self._store.read_feed(len(everything), _FEED_BATCH):
            everything += [(recorded, codec.decode(recorded)) for recorded in batch]
        return everything


def _by_month(one: tuple[AccountId, Month]) -> tuple[Month, AccountId]:
    return one[1], one[0]


def statement_of(account_id: AccountId, month: Month, events: Iterable[DecodedEvent]) -> Statement:
    """Return the statement of a month out of the events of a wallet up to its end."""
    events = list(events)
    before = [(recorded, event) for recorded, event in events if recorded.recorded_at < month.begins]
    within = events[len(before) :]
    minutes = folded_minutes(event for _, event in within)
    return Statement(
        account_id=account_id,
        month=month,
        opening=MicroUsd(sum(movement(event) for _, event in before if isinstance(event, Moving))),
        opening_owed=MicroUsd(sum(entry.owed for entry in _entries(before))),
        entries=tuple(_entries(within)),
        charged=tuple(line for line in minutes if line.cause is None),
        waived=tuple(line for line in minutes if line.cause is not None),
    )


def _entries(events: Iterable[DecodedEvent]) -> Iterator[Entry]:
    for recorded, event in events:
        if isinstance(event, Single):
            yield entry_of(event, EventId(codec.decode_metadata(recorded).id), recorded.recorded_at)
