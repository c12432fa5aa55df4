"""Names of VPSs that money is told of, in the clear."""

from collections.abc import Collection

from api.application.runtime import Runtime
from domain.compute.vps import Vps
from domain.ids import AccountId, VpsId
from projections.read_model import Connection
from projections.vps import vpss_by_ids


async def decrypted_vpss(
    runtime: Runtime, connection: Connection, account_id: AccountId, vps_ids: Collection[VpsId]
) -> dict[VpsId, Vps]:
    """Return VPSs of an account, deleted ones included, with name and labels as its owner gave them."""
    if not vps_ids:
        return {}
    found = await vpss_by_ids(connection, account_id, vps_ids)
    await runtime.sealer.load([account_id])
    return {vps_id: row.opened(account_id, runtime.sealer) for vps_id, row in found.items()}
