"""Schedules, an alarm clock: what is to be done when it rings follows from what is recorded, not from it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from domain.compute.ports import HypervisorUnavailable
from domain.ports import StoreFailed
from projections.reading import ProjectionBehind

OBSERVE_EVERY_S = 20.0
SETTLE_EVERY_S = 10.0
SWEEP_EVERY_S = 600.0

_log = structlog.get_logger(__name__)

Task = Callable[[], Awaitable[object]]
Ring = tuple[str, Task, float]
"""What a schedule is called, what is done when it rings, and how often that is, in seconds."""


class Schedules:
    """Rings for observing hosts, settling what is due, sweeping what expired; rung late or never, nothing is lost."""

    def __init__(
        self,
        observe: Task,
        settle: Task,
        *,
        sweep: Task | None = None,
        also: Sequence[Ring] = (),
        observe_every_s: float = OBSERVE_EVERY_S,
        settle_every_s: float = SETTLE_EVERY_S,
    ) -> None:
        tasks = [("observe", observe, observe_every_s), ("settle", settle, settle_every_s)]
        self._tasks = [*tasks, *([] if sweep is None else [("sweep", sweep, SWEEP_EVERY_S)]), *also]

    async def run(self) -> None:
        """Catch up at once, then ring until cancelled; what is under way by then is finished."""
        under_way = {name: asyncio.Lock() for name, _, _ in self._tasks}

        async def rung(name: str, task: Task) -> None:
            async with under_way[name]:
                await _heeded(name, task)

        for name, task, _ in self._tasks:
            await rung(name, task)
        # A run that comes late is run all the same, many missed ones once, and never two of one at a time.
        scheduler = AsyncIOScheduler(
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}, timezone="UTC"
        )
        for name, task, every_s in self._tasks:
            scheduler.add_job(rung, "interval", seconds=every_s, args=(name, task), id=name)
        scheduler.start()
        try:
            await asyncio.Event().wait()
        finally:
            scheduler.pause()
            for lock in under_way.values():
                await lock.acquire()
            scheduler.shutdown(wait=False)


async def _heeded(name: str, task: Task) -> None:
    try:
        await task()
    except (StoreFailed, HypervisorUnavailable, ProjectionBehind) as problem:
        _log.warning("schedule waits", schedule=name, problem=str(problem))
    except Exception:  # noqa: BLE001
        # An alarm clock that breaks at the first mishap wakes nobody the next time.
        _log.exception("schedule failed", schedule=name)
