"""Expiry: VPSs whose time is over are deleted, and that is told before; whenever somebody looks."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from api.application.queues import Queue
from api.application.repository import CommandContext, Loaded
from api.application.worker_context import WorkerContext
from domain.compute.expiry import expire_vps
from domain.compute.vps import vps_ref
from domain.deciding import Decision
from domain.events import Actor
from domain.ids import VpsId
from domain.pauses import Pauses
from domain.settings.settings import SETTINGS_REF
from domain.time import MINUTE, Instant
from domain.wallet.wallet import wallet_ref

EXPIRE_EVERY_S = 5.0
LEASE_S = 30.0
LEASE_SCOPE = "expiry"
PAUSES = Pauses(1.0, 60.0)
"""One that cannot be deleted is left alone for no longer, since it goes on costing its owner."""


async def expire_due(worker: WorkerContext) -> int:
    """Tell of VPSs that expire soon, and delete those that do now; return of how many anything was recorded.

    Done twice, or by two at once, it comes to the same as done once.
    """
    warning_minutes = (await worker.aggregates.load(SETTINGS_REF)).of(SETTINGS_REF).ttl_warning_minutes
    now = worker.clock.now()

    async def waiting(after: VpsId | None, limit: int) -> Sequence[VpsId]:
        return await worker.work.expiring(Instant(now + warning_minutes * MINUTE), now, after, limit)

    queue = Queue(
        LEASE_SCOPE,
        worker.leases,
        waiting,
        partial(_expire, worker),
        lease_key=_lease_key,
        lease_s=LEASE_S,
        pause_s=PAUSES.after,
    )
    return await queue.work_off()


async def _expire(worker: WorkerContext, vps_id: VpsId) -> bool:
    vps = await worker.vps(vps_id)
    if vps is None:
        return False
    ref, wallet = vps_ref(vps_id), wallet_ref(vps.account_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return expire_vps(loaded.of(ref), loaded.of(wallet), now, loaded.of(SETTINGS_REF).ttl_warning_minutes)

    context = CommandContext(actor=Actor(kind="service", part="expiry"), account_id=vps.account_id, step="expire")
    return bool((await worker.aggregates.execute([ref, wallet, SETTINGS_REF], decide, context)).events)


def _lease_key(vps_id: VpsId) -> UUID:
    return vps_id
