"""Attending to one VPS: step after step until it is as it should be."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from api.application.worker_context import WorkerContext
from api.workers.concurrency_limits import Permit
from api.workers.steps import booting, ending, filtering, snapshots
from api.workers.steps.attempt import Attempt, now_s
from domain.compute.capacity import NoCapacity
from domain.compute.ports import GuestUnreachable, HostKeyChanged, HypervisorUnavailable
from domain.compute.status import HOST_KEY_CHANGED
from domain.compute.steps import ENDLESS_PAUSES, Step, StepName, next_step
from domain.compute.vps import Vps
from domain.errors import Contended
from domain.ids import VpsId
from domain.pauses import Pauses
from domain.ports import StoreFailed

PERMIT_KEPT_S = 20.0
"""How long a step may be tried in vain before others have the permit: nobody may hold it by never answering."""

TAKE: dict[StepName, Callable[[Attempt, Vps, Step], Awaitable[None]]] = {
    "place": booting.place,
    "prepare": booting.prepare,
    "launch": booting.launch,
    "login": booting.login,
    "reboot": booting.reboot,
    "filter": filtering.apply_policy,
    "halt": ending.halt,
    "remove": ending.remove,
    "restore": snapshots.restore,
    "take-snapshot": snapshots.take,
    "remove-snapshot": snapshots.remove,
}
"""What each step does outside, and then has recorded; when it is due is in the table (``domain.compute.steps``)."""

_log = structlog.get_logger(__name__)


class RetryLater(Exception):
    """There is more to do, but not now, or not by this worker."""

    def __init__(self, why: str, pauses: Pauses = ENDLESS_PAUSES) -> None:
        super().__init__(why)
        self.pauses = pauses


class ProcessManager:
    """One worker's attention to one VPS."""

    def __init__(self, worker: WorkerContext, vps_id: VpsId, ending: asyncio.Event, permit: Permit) -> None:
        """``ending``: set once no further step is to be begun; ``permit``: left early where it takes long."""
        self._context = worker
        self._vps_id = vps_id
        self._ending = ending
        self._attempt = Attempt(worker, permit)

    async def attend(self) -> None:
        """Take steps until there is none, or until the worker is to end. Raises RetryLater."""
        while (vps := await self._context.vps(self._vps_id)) is not None and (step := next_step(vps)) is not None:
            if self._ending.is_set():
                raise RetryLater("the worker ends")
            self._attempt.begin(step)
            leaving = self._release_permit_in_time()
            try:
                await TAKE[step.name](self._attempt, vps, step)
            except HostKeyChanged:
                await ending.give_up(self._context, vps, step, HOST_KEY_CHANGED, by_guest=True)
            except (GuestUnreachable, HypervisorUnavailable, NoCapacity, Contended) as problem:
                await self._missed(vps, step, problem)
            except (StoreFailed, RetryLater):
                raise
            except Exception as problem:  # noqa: BLE001 Whatever it is, it ends at the step's deadline at the latest.
                _log.exception("step failed", vps_id=str(vps.vps_id), step=step.name)
                await self._missed(vps, step, problem)
            finally:
                leaving.cancel()

    def _release_permit_in_time(self) -> asyncio.TimerHandle:
        """Have the permit left to others in time, also while a host that hangs keeps us waiting for one answer."""
        kept_s = max(0.0, self._attempt.begun_s + PERMIT_KEPT_S - now_s())
        return asyncio.get_running_loop().call_later(kept_s, self._attempt.permit.release)

    async def _missed(self, vps: Vps, step: Step, problem: Exception) -> None:
        attempt, row = self._attempt, step.row
        if isinstance(problem, HypervisorUnavailable):
            attempt.host_failed_s = now_s()
        if row.deadline_s is None:
            raise RetryLater(f"{step.name}: {problem}", row.pauses) from problem
        tried_s = now_s() - attempt.begun_s
        if tried_s >= row.deadline_s:
            _log.warning("step missed its deadline", vps_id=str(vps.vps_id), step=step.name, problem=str(problem))
            # A guest that its host kept from booting for a while had not all of the time to do so.
            by_guest = isinstance(problem, GuestUnreachable) and attempt.host_failed_s is None
            trouble = problem.sentence if isinstance(problem, NoCapacity) else row.trouble
            await ending.give_up(self._context, vps, step, trouble, by_guest=by_guest)
            return
        pauses = row.guest_pauses if isinstance(problem, GuestUnreachable) else row.pauses
        await asyncio.sleep(pauses.after(attempt.failures))
        attempt.failures = 0 if isinstance(problem, GuestUnreachable) else attempt.failures + 1
