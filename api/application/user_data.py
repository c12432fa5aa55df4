"""Guests are asked how the user data that they were given has ended; nobody waits for it."""

import asyncio
from collections.abc import Sequence

from api.application.queues import Later, Queue
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext, address_of
from domain.compute import user_data
from domain.compute.ports import GuestUnreachable, HostKeyChanged
from domain.compute.vps import vps_ref
from domain.deciding import Decision
from domain.errors import Contended
from domain.ids import VpsId
from domain.pauses import Pauses
from domain.time import Instant

EVERY_S = 2.0
LEASE_S = 60.0
LOOK_WITHIN_S = 20.0
"""A guest that never answers is none's to wait for."""
AT_ONCE_MAX = 8
PAUSES = Pauses(2.0, 300.0)
"""Before a guest is asked again. A script may go on for ever."""


def user_data_queue(worker: WorkerContext) -> Queue[VpsId]:
    """Return the queue of VPSs, on the hosts of this process, whose user data has not ended as far as is known."""

    async def waiting(after: VpsId | None, limit: int) -> Sequence[VpsId]:
        return await worker.work.awaiting_user_data(tuple(worker.hypervisors), after, limit)

    async def ask(vps_id: VpsId) -> None:
        await ask_user_data(worker, vps_id)

    return Queue(
        "user-data",
        worker.leases,
        waiting,
        ask,
        lease_key=lambda vps_id: vps_id,
        lease_s=LEASE_S,
        at_once_max=AT_ONCE_MAX,
        pause_s=PAUSES.after,
        foreseen=(GuestUnreachable, HostKeyChanged, Contended, TimeoutError),
    )


async def ask_user_data(worker: WorkerContext, vps_id: VpsId) -> None:
    """Ask one guest, and record what it says. Raises Later while it is at it, GuestUnreachable or TimeoutError."""
    vps = await worker.vps(vps_id)
    if vps is None or not vps.awaits_user_data:
        return
    async with asyncio.timeout(LOOK_WITHIN_S):
        seen = await worker.shell.find_user_data(address_of(vps))
    if seen is None:
        raise Later
    ref = vps_ref(vps_id)

    def decide(loaded: Loaded, now: Instant) -> Decision:
        return user_data.ended(loaded.of(ref), seen, now)

    await worker.record([ref], decide, "user-data", vps.account_id)
