"""Open work, found by folding the feed in memory: what read models do for a store that is a database."""

from collections.abc import Sequence
from uuid import UUID

from domain.codec import decode
from domain.compute.steps import next_step
from domain.compute.vps import FOLD, Vps
from domain.exec.events import JobFinished, JobRequested
from domain.ids import HostId, JobId, VpsId
from domain.ports import EventStore
from domain.time import Instant

_BATCH = 10_000


class MemoryOpenWork:
    """Implements ``domain.compute.work.OpenWork``."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._position = 0
        self._vpss: dict[UUID, Vps] = {}
        self._jobs: dict[JobId, Instant] = {}

    async def due_vpss(self, host_ids: Sequence[HostId], limit: int) -> list[VpsId]:
        """Return VPSs for which a step is to be taken; see ``OpenWork.due_vpss``."""
        await self._catch_up()
        due = [vps for vps in self._vpss.values() if vps.host_id in (None, *host_ids) and next_step(vps) is not None]
        return [vps.vps_id for vps in sorted(due, key=lambda vps: vps.since)[:limit]]

    async def vpss_on(self, host_id: HostId) -> list[VpsId]:
        """Return every VPS placed on a host that is not deleted."""
        await self._catch_up()
        return [vps.vps_id for vps in self._vpss.values() if vps.host_id == host_id and not vps.deleted]

    async def open_jobs(self, requested_before: Instant, limit: int) -> list[JobId]:
        """Return jobs that are not finished, the oldest first."""
        await self._catch_up()
        return [job_id for job_id, at in self._jobs.items() if at < requested_before][:limit]

    async def _catch_up(self) -> None:
        while batch := await self._store.read_feed(self._position, _BATCH):
            for recorded in batch:
                event = decode(recorded)
                if recorded.type.startswith("compute.vps-"):
                    folded = FOLD.evolve(self._vpss.get(recorded.stream), event)
                    assert folded is not None
                    self._vpss[recorded.stream] = folded
                elif isinstance(event, JobRequested):
                    self._jobs[event.job_id] = event.requested_at
                elif isinstance(event, JobFinished):
                    self._jobs.pop(event.job_id, None)
            self._position = batch[-1].position
