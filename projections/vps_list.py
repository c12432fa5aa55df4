"""The list of an account's VPSs as it is now: what the read model holds, unsealed for its owner."""

import msgspec

from domain.compute.vps import State, Vps
from domain.ids import AccountId
from domain.ports import EventStore, Sealer
from projections.reading import ReadModels
from projections.vps import VPS, vpss_of


class ProjectedVpsList:
    """Reads the list from the read model, once that shows everything recorded so far."""

    def __init__(self, read_models: ReadModels, store: EventStore, sealer: Sealer) -> None:
        self._read_models = read_models
        self._store = store
        self._sealer = sealer

    async def of_account(self, account_id: AccountId, state: State | None) -> list[Vps]:
        """Return those that exist for the account now, newest first; names and labels are unsealed.

        Raises ProjectionBehind.
        """
        async with self._read_models.at(await self._store.head(), VPS) as connection:
            sealed, _ = await vpss_of(connection, account_id, state=state)
        if sealed:
            await self._sealer.load([account_id])
        return [self._unsealed(vps) for vps in sealed]

    def _unsealed(self, vps: Vps) -> Vps:
        labels = None if vps.labels is None else self._sealer.unseal(vps.labels)
        return msgspec.structs.replace(vps, name=self._sealer.unseal(vps.name), labels=labels)
