"""Attending to one VPS: step after step until it is as it should be."""

import asyncio
from typing import assert_never

import structlog

from api.application.worker_context import WorkerContext
from api.workers.concurrency_limits import Permit
from api.workers.steps import booting, ending
from domain.compute.capacity import NoCapacity
from domain.compute.ports import GuestUnreachable, HostKeyChanged, HypervisorUnavailable
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps
from domain.errors import Contended
from domain.ids import VpsId
from domain.ports import StoreFailed

LOGIN_PAUSE_S = 0.1
HOST_PAUSE_S = 1.0
"""Between two tries of a step that its host or its guest did not let happen."""
RELAUNCH_EVERY_S = 10.0
"""How often a guest that does not answer is looked after: it may have gone off in the meantime."""
SLOT_KEPT_S = 20.0
"""How long a step may be tried in vain before others have the slot: nobody may hold it by never answering."""
HALT_SLOT_KEPT_S = 5.0
"""The same for a guest that is to shut down: until then, all that wait for its slot are on at no cost."""

_log = structlog.get_logger(__name__)


class RetryLater(Exception):
    """There is more to do, but not now, or not by this worker."""


class ProcessManager:
    """What one worker remembers while it attends to one VPS. Whoever comes after it begins anew."""

    def __init__(self, worker: WorkerContext, vps_id: VpsId, ending: asyncio.Event, slot: Permit) -> None:
        """``ending``: set once no further step is to be begun; ``slot``: left early where it takes long."""
        self._context = worker
        self._vps_id = vps_id
        self._ending = ending
        self._slot = slot
        self._step: Step | None = None
        self._begun_s = 0.0
        self._host_failed_s: float | None = None
        """When the host failed last at this step; what comes after that is not held against the guest."""
        self._launched_s: float | None = None
        self._rebooted = False

    async def attend(self) -> None:
        """Take steps until there is none, or until the worker is to end. Raises Undone."""
        while (vps := await self._context.vps(self._vps_id)) is not None and (step := next_step(vps)) is not None:
            if self._ending.is_set():
                raise RetryLater("the worker ends")
            if step != self._step:
                self._step, self._begun_s, self._rebooted, self._host_failed_s = step, _now_s(), False, None
            try:
                await self._take(vps, step)
            except HostKeyChanged:
                await ending.give_up(self._context, vps, step, "the guest has another host key", by_guest=True)
            except (GuestUnreachable, HypervisorUnavailable, NoCapacity, Contended) as problem:
                await self._missed(vps, step, problem)
            except (StoreFailed, RetryLater):
                raise
            except Exception as problem:  # noqa: BLE001 Whatever it is, it ends at the step's deadline at the latest.
                _log.exception("step failed", vps_id=str(vps.vps_id), step=step.name)
                await self._missed(vps, step, problem)

    async def _missed(self, vps: Vps, step: Step, problem: Exception) -> None:
        if isinstance(problem, HypervisorUnavailable):
            self._host_failed_s = _now_s()
        if step.deadline_s is None:
            raise RetryLater(f"{step.name}: {problem}") from problem
        if _now_s() - self._begun_s >= step.deadline_s:
            _log.warning("step missed its deadline", vps_id=str(vps.vps_id), step=step.name, problem=str(problem))
            # A guest that its host kept from booting for a while had not all of the time to do so.
            by_guest = isinstance(problem, GuestUnreachable) and self._host_failed_s is None
            await ending.give_up(self._context, vps, step, _told(step, problem), by_guest=by_guest)
            return
        if _now_s() - self._begun_s >= SLOT_KEPT_S:
            self._slot.release()
        await asyncio.sleep(LOGIN_PAUSE_S if isinstance(problem, GuestUnreachable) else HOST_PAUSE_S)

    async def _take(self, vps: Vps, step: Step) -> None:
        match step.name:
            case "place":
                await booting.place(self._context, vps, step)
            case "prepare":
                await booting.prepare(self._context, vps, step)
            case "launch":
                await self._launch(vps, step)
            case "login":
                await self._login(vps, step)
            case "reboot":
                await self._reboot(vps, step)
            case "halt":
                await self._halt(vps, step)
            case "remove":
                await ending.remove(self._context, vps, step)
            case _:
                assert_never(step.name)

    async def _launch(self, vps: Vps, step: Step) -> None:
        await booting.launch(self._context, vps, step)
        self._launched_s = _now_s()

    async def _login(self, vps: Vps, step: Step) -> None:
        # Also the first thing done by a worker that takes over from one that died.
        if self._launched_s is None or _now_s() - self._launched_s >= RELAUNCH_EVERY_S:
            await self._launch(vps, step)
        since_s = self._begun_s if self._host_failed_s is None else self._host_failed_s
        await booting.login(self._context, vps, step, since_s=since_s)

    async def _halt(self, vps: Vps, step: Step) -> None:
        leaving = asyncio.get_running_loop().call_later(HALT_SLOT_KEPT_S, self._slot.release)
        try:
            await ending.halt(self._context, vps, step)
        finally:
            leaving.cancel()

    async def _reboot(self, vps: Vps, step: Step) -> None:
        if not self._rebooted:
            await booting.reboot(self._context, vps, step)
            self._rebooted = True
        await booting.login_again(self._context, vps, step)


def _told(step: Step, problem: Exception) -> str:
    """Return what the owner of a VPS is told: that it failed and where, not how the house is built."""
    if isinstance(problem, NoCapacity):
        return problem.sentence
    match step.name:
        case "login" | "reboot":
            return "the guest did not answer in time"
        case "place" | "prepare" | "launch":
            return "the host could not start the guest in time"
        case "halt" | "remove":
            return "the host could not stop the guest in time"
        case _:
            assert_never(step.name)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
