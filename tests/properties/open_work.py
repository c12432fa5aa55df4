"""Open work by time that is played: found by folding the feed, where no database can keep up."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from adapters.memory.leases import LeaseTable
from domain.codec import decode
from domain.compute.events import OF_VPS
from domain.compute.steps import next_step
from domain.compute.vps import FOLD, Vps
from domain.exec.events import JobFinished, JobRequested
from domain.ids import AccountId, HostId, JobId, VpsId
from domain.ports import EventStore
from domain.time import Instant

_BATCH = 10_000

K = TypeVar("K")


class MemoryOpenWork:
    """Implements ``domain.compute.work.OpenWork``; held to the same tests as the table (``tests/projections``)."""

    def __init__(self, store: EventStore, leases: LeaseTable) -> None:
        self._store = store
        self._leases = leases
        self._position = 0
        self._vpss: dict[UUID, Vps] = {}
        self._jobs: dict[JobId, JobRequested] = {}

    async def due_vpss(self, host_ids: Sequence[HostId], limit: int) -> list[VpsId]:
        """Return VPSs for which a step is to be taken; see ``OpenWork.due_vpss``."""
        await self._catch_up()
        due = [vps for vps in self._vpss.values() if vps.host_id in (None, *host_ids) and next_step(vps) is not None]
        free = [(vps.account_id, vps.since, vps.vps_id) for vps in due if not self._leases.is_taken("vps", vps.vps_id)]
        return _in_turn(free)[:limit]

    async def awaiting_user_data(self, host_ids: Sequence[HostId], after: VpsId | None, limit: int) -> list[VpsId]:
        """Return VPSs whose user data may have ended; see ``OpenWork.awaiting_user_data``."""
        await self._catch_up()
        found = (vps.vps_id for vps in self._vpss.values() if vps.awaits_user_data and vps.host_id in host_ids)
        free = (vps_id for vps_id in found if not self._leases.is_taken("user-data", vps_id))
        return sorted(vps_id for vps_id in free if after is None or vps_id > after)[:limit]

    async def vpss_on(self, host_id: HostId) -> list[VpsId]:
        """Return every VPS placed on a host that is not deleted."""
        await self._catch_up()
        return [vps.vps_id for vps in self._vpss.values() if vps.host_id == host_id and not vps.deleted]

    async def expiring(self, before: Instant, now: Instant, after: VpsId | None, limit: int) -> list[VpsId]:
        """Return VPSs of which the expiry is to be told, or done; see ``OpenWork.expiring``."""
        await self._catch_up()
        due = [
            vps.vps_id
            for vps in self._vpss.values()
            if vps.expires_at is not None
            and not vps.gone
            and vps.expires_at <= (now if vps.expiry_warned else before)
            and (after is None or vps.vps_id > after)
        ]
        return sorted(due)[:limit]

    async def open_jobs(self, requested_before: Instant, limit: int) -> list[JobId]:
        """Return jobs that are not finished and nobody is at; see ``OpenWork.open_jobs``."""
        await self._catch_up()
        free = [
            (job.account_id, job.requested_at, job.job_id)
            for job in self._jobs.values()
            if job.requested_at < requested_before and not self._leases.is_taken("job", job.job_id)
        ]
        return _in_turn(free)[:limit]

    async def _catch_up(self) -> None:
        while batch := await self._store.read_feed(self._position, _BATCH):
            for recorded in batch:
                event = decode(recorded)
                if recorded.type.startswith(OF_VPS):
                    folded = FOLD.evolve(self._vpss.get(recorded.stream), event)
                    assert folded is not None
                    self._vpss[recorded.stream] = folded
                elif isinstance(event, JobRequested):
                    self._jobs[event.job_id] = event
                elif isinstance(event, JobFinished):
                    self._jobs.pop(event.job_id, None)
            self._position = batch[-1].position


def _in_turn(waiting: Iterable[tuple[AccountId, Instant, K]]) -> list[K]:
    """Return what waits, the longest waiting first, but the first of each account before the second of any."""
    before: Counter[AccountId] = Counter()
    order: list[tuple[int, Instant, K]] = []
    for account_id, since, key in sorted(waiting, key=lambda one: one[1]):
        order.append((before[account_id], since, key))
        before[account_id] += 1
    return [key for *_, key in sorted(order, key=lambda one: one[:2])]
