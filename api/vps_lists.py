"""Lists of VPSs: from the read model, or from a store in memory by folding all of it."""

from uuid import UUID

from domain import codec
from domain.compute.vps import FOLD, State, Vps
from domain.ids import AccountId
from domain.ports import EventStore, Sealer
from projections.reading import ReadModels
from projections.vps import VPS, vpss_of

_FEED_BATCH = 5_000


class ProjectedVpsList:
    """Reads the read model once it shows everything recorded so far."""

    def __init__(self, read_models: ReadModels, store: EventStore, sealer: Sealer) -> None:
        self._read_models = read_models
        self._store = store
        self._sealer = sealer

    async def of_account(self, account_id: AccountId, state: State | None) -> list[Vps]:
        """Return those that exist for the account now, newest first. Raises ProjectionBehind."""
        async with self._read_models.at(await self._store.head(), VPS) as connection:
            found, _ = await vpss_of(connection, account_id, state=state)
        await self._sealer.load([account_id])
        return [row.opened(account_id, self._sealer) for row in found]


class FoldedVpsList:
    """Folds every event there is, each time: for stores of a few thousand events."""

    def __init__(self, store: EventStore, sealer: Sealer) -> None:
        self._store = store
        self._sealer = sealer

    async def of_account(self, account_id: AccountId, state: State | None) -> list[Vps]:
        """Return those that exist for the account now, newest first."""
        await self._sealer.load([account_id])
        folded: dict[UUID, Vps | None] = {}
        position = 0
        while batch := await self._store.read_feed(position, _FEED_BATCH):
            position = batch[-1].position
            for recorded in batch:
                if not recorded.type.startswith("compute.vps-"):
                    continue
                owner = codec.decode_metadata(recorded).account_id
                if owner == account_id:
                    event = codec.decode(recorded, self._sealer)
                    folded[recorded.stream] = FOLD.evolve(folded.get(recorded.stream), event)
        found = [vps for vps in folded.values() if vps is not None and not vps.gone]
        return [vps for vps in reversed(found) if state is None or vps.state == state]
