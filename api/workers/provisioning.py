"""The worker: finds VPSs and jobs with something to do, leases them, and has their steps taken."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog

from api.application.jobs import collect_job
from api.application.worker_context import WorkerContext
from api.workers.concurrency_limits import FairSemaphore, Permit
from api.workers.steps.runner import ProcessManager, RetryLater
from domain.compute.events import OF_VPS
from domain.compute.host import host_ref
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps
from domain.ids import HostId, JobId, VpsId
from domain.pauses import Pauses
from domain.ports import StoreFailed, StoreUnavailable
from domain.time import Instant, seconds

LEASE_S = 30.0
LEASE_RENEWED_EVERY_S = 10.0
POLL_S = 5.0
"""How often open work is looked for all the same: the feed tells of what is new, not of what failed."""
FEED_EVENTS_MAX = 5_000
OPEN_MAX = 500
BOOTING_MAX = 4
"""How many guests boot at once; one that keeps its worker waiting is soon not counted, see ``PERMIT_KEPT_S``."""
ENDING_MAX = 8
SNAPSHOTS_MAX = 4
"""How many snapshots are taken or removed at once; a guest can draw out one that is taken, and no stop waits for it."""
LOOK_AGAIN_S = 0.5
"""How soon what waits for its turn is looked at again, once something was recorded of it: it may be to be stopped."""
JOBS_COLLECTED_MAX = 32
JOB_TURN_S = 10.0
"""How long a command that still runs is waited for before another one gets its turn."""
JOB_ABANDONED_S = 15.0
"""How old a job is before one that nobody holds a lease of is taken to be left alone."""
PAUSES = Pauses(1.0, 60.0)
"""Before something that failed is tried again."""
DRAIN_S = 10.0

_log = structlog.get_logger(__name__)


async def _fail(problem: Exception) -> None:
    raise problem


class Worker:
    """One process's share of the work; any number may be at it."""

    def __init__(
        self, worker: WorkerContext, *, booting_max: int = BOOTING_MAX, poll_s: float = POLL_S, lease_s: float = LEASE_S
    ) -> None:
        self._context = worker
        self._poll_s = poll_s
        self._lease_s = lease_s
        # Half of them are left to others where there are others.
        self._booting = FairSemaphore(booting_max, booting_max // 2)
        self._ending = FairSemaphore(ENDING_MAX, ENDING_MAX // 2)
        self._snapshots = FairSemaphore(SNAPSHOTS_MAX, SNAPSHOTS_MAX // 2)
        self._collecting = 0
        """How many jobs are being collected."""
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._offered_again: set[UUID] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; then finish what is begun, for at most ``DRAIN_S``, and give back the rest."""
        try:
            while True:
                try:
                    await self._follow()
                except StoreFailed as problem:
                    _log.warning("worker waits for the store", problem=str(problem))
                    await asyncio.sleep(PAUSES.first_s)
                except Exception:  # noqa: BLE001 Whatever it is: a worker that ended would end the service with it.
                    _log.exception("worker begins anew")
                    await asyncio.sleep(PAUSES.first_s)
        finally:
            await self._drain()

    async def idle(self) -> None:
        """Wait until nothing that this worker has begun is left."""
        while self._busy:
            await asyncio.wait(self._busy.values())

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        position = await self._context.store.head()
        looked_s = float("-inf")
        while True:
            if loop.time() - looked_s >= self._poll_s:
                looked_s = loop.time()
                await self._offer_open_work()
            timeout_s = max(0.0, looked_s + self._poll_s - loop.time())
            if await self._context.store.wait_past(position, timeout_s) <= position:
                continue
            batch = await self._context.store.read_feed(position, FEED_EVENTS_MAX)
            if batch:
                position = batch[-1].position
            for stream in dict.fromkeys(one.stream for one in batch if one.type.startswith(OF_VPS)):
                self._offer(stream, self._attend_vps)

    async def _offer_open_work(self) -> None:
        for vps_id in await self._context.work.due_vpss(tuple(self._context.hypervisors), OPEN_MAX):
            self._offer(vps_id, self._attend_vps)
        abandoned = Instant(self._context.clock.now() - seconds(JOB_ABANDONED_S))
        # No more than can be collected now: what is not begun stays in the queue, where accounts take turns.
        if (room := JOBS_COLLECTED_MAX - self._collecting) > 0:
            for job_id in await self._context.work.open_jobs(abandoned, room):
                self._offer(job_id, self._attend_job)

    def _offer(self, key: UUID, attend: Callable[[UUID], Awaitable[None]]) -> None:
        if self._ended.is_set():
            return
        if key in self._busy:
            # It may have looked already, and seen nothing to do, just before this came.
            self._offered_again.add(key)
            return
        self._busy[key] = asyncio.create_task(self._attended(key, attend))

    async def _attended(self, key: UUID, attend: Callable[[UUID], Awaitable[None]]) -> None:
        try:
            await attend(key)
        except StoreUnavailable as away:
            _log.warning("work waits for the store", key=str(key), problem=str(away))
        except Exception:  # noqa: BLE001
            # Of one VPS or one job; the others go on, and this one is looked at again at the next poll.
            _log.exception("work failed", key=str(key))
        finally:
            del self._busy[key]
            if key in self._offered_again:
                self._offered_again.discard(key)
                self._offer(key, attend)

    async def _attend_vps(self, key: UUID) -> None:
        vps_id = VpsId(key)
        try:
            vps = await self._context.vps(vps_id)
            step = next_step(vps)
        except StoreFailed:
            raise
        except Exception as problem:  # noqa: BLE001 It leaves the queue for a while, or it would stand before others.
            await self._leased("vps", key, partial(_fail, problem))
            return
        if vps is None or step is None or not self._drives(vps.host_id):
            return
        if step.row.deadline_s is None and await self._is_lost(vps.host_id):
            # It is tried for ever, and nothing of it can be done now: it needs no slot, in which it would hang.
            await self._leased("vps", key, partial(_fail, RetryLater("the host does not answer")))
            return
        permit = await self._permit(vps, step)
        if permit is None:
            # Something else is due by now: it is taken up anew.
            self._offered_again.add(key)
            return
        with permit:
            await self._leased("vps", key, ProcessManager(self._context, vps_id, self._ended, permit).attend)

    async def _permit(self, vps: Vps, step: Step) -> Permit | None:
        """Wait for the permit that a step needs; None where another one is due by now that needs another permit."""
        semaphore = self._semaphore_of(step)
        turn = asyncio.create_task(semaphore.take(vps.account_id))
        taken = False
        try:
            while not (await asyncio.wait([turn], timeout=LOOK_AGAIN_S))[0]:
                if await self._needs_another(vps.vps_id, semaphore):
                    return None
            taken = True
            return turn.result()
        finally:
            if not taken:
                turn.cancel()
                with suppress(asyncio.CancelledError):
                    (await turn).release()  # It was handed out just now.

    async def _needs_another(self, vps_id: VpsId, semaphore: FairSemaphore) -> bool:
        if vps_id not in self._offered_again:
            return False
        self._offered_again.discard(vps_id)
        step = next_step(await self._context.vps(vps_id))
        return step is None or self._semaphore_of(step) is not semaphore

    def _semaphore_of(self, step: Step) -> FairSemaphore:
        if step.row.boots:
            return self._booting
        return self._ending if step.snapshot_id is None else self._snapshots

    async def _is_lost(self, host_id: HostId | None) -> bool:
        if host_id is None:
            return False
        ref = host_ref(host_id)
        host = (await self._context.aggregates.load(ref)).of(ref)
        return host is not None and host.lost_at is not None

    def _drives(self, host_id: HostId | None) -> bool:
        """Return whether this process can do anything for a VPS that has its place here; None: has none yet."""
        hosts = self._context.hypervisors
        return bool(hosts) if host_id is None else host_id in hosts

    async def _attend_job(self, key: UUID) -> None:
        async def collect() -> None:
            try:
                async with asyncio.timeout(JOB_TURN_S):
                    await collect_job(self._context, JobId(key))
            except TimeoutError as still_running:
                raise RetryLater("the command still runs") from still_running

        self._collecting += 1
        try:
            await self._leased("job", key, self._unless_ended(collect))
        finally:
            self._collecting -= 1

    def _unless_ended(self, attend: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return what does this, but leaves it for later at once when the worker is to end."""

        async def attend_until_ended() -> None:
            attending = asyncio.ensure_future(attend())
            ended = asyncio.create_task(self._ended.wait())
            try:
                await asyncio.wait([attending, ended], return_when=asyncio.FIRST_COMPLETED)
                if not attending.done():
                    raise RetryLater("the worker ends")
                attending.result()
            finally:
                attending.cancel()
                ended.cancel()

        return attend_until_ended

    async def _leased(self, scope: str, key: UUID, attend: Callable[[], Awaitable[None]]) -> None:
        leases = self._context.leases
        attempts = await leases.take(scope, key, self._lease_s)
        if attempts is None:
            return
        renewal = asyncio.create_task(self._renew(scope, key))
        try:
            await attend()
            await leases.done(scope, key)
        except RetryLater as later:
            # Whoever comes after a worker that ends need not wait for the lease to end.
            pause_s = 0.0 if self._ended.is_set() else later.pauses.after(attempts)
            _log.info("left for later", key=str(key), pause_s=pause_s, problem=str(later))
            await leases.postpone(scope, key, pause_s)
        except asyncio.CancelledError:
            await asyncio.shield(leases.postpone(scope, key, 0))
            raise
        except Exception:
            await leases.postpone(scope, key, PAUSES.after(attempts))
            raise
        finally:
            renewal.cancel()

    async def _renew(self, scope: str, key: UUID) -> None:
        while True:
            await asyncio.sleep(LEASE_RENEWED_EVERY_S)
            with suppress(StoreFailed):
                await self._context.leases.extend(scope, key, self._lease_s)

    async def _drain(self) -> None:
        self._ended.set()
        if not self._busy:
            return
        _, late = await asyncio.wait(self._busy.values(), timeout=DRAIN_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
