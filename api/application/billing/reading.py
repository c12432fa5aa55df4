"""Reading what customers see of their money: connections that show everything, and names of VPSs in the clear."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from api.application.runtime import Runtime
from domain.compute.vps import Vps
from domain.ids import AccountId, VpsId
from domain.ports import StoreUnavailable
from projections.entries import ENTRIES
from projections.read_model import Connection
from projections.vps import VPS, vpss_by_ids


@asynccontextmanager
async def caught_up_connection(runtime: Runtime) -> AsyncIterator[Connection]:
    """Give a connection on which entries and VPSs show everything recorded so far.

    Raises ProjectionBehind, and StoreUnavailable where the store is in memory and nothing is kept in tables.
    """
    if runtime.read_models is None:
        raise StoreUnavailable("there are no read models beside a store in memory")
    async with runtime.read_models.at(await runtime.store.head(), ENTRIES, VPS) as connection:
        yield connection


async def decrypted_vpss(
    runtime: Runtime, connection: Connection, account_id: AccountId, vps_ids: Collection[VpsId]
) -> dict[VpsId, Vps]:
    """Return VPSs of an account, deleted ones included, with name and labels as its owner gave them."""
    if not vps_ids:
        return {}
    found = await vpss_by_ids(connection, account_id, vps_ids)
    await runtime.sealer.load([account_id])
    return {vps_id: row.opened(account_id, runtime.sealer) for vps_id, row in found.items()}
