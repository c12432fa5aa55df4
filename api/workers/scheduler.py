"""The scheduler, an alarm clock: what is to be done when it rings follows from what is recorded, not from it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from domain.compute.ports import HypervisorUnavailable
from domain.ports import StoreFailed
from projections.reading import ProjectionBehind

OBSERVE_EVERY_S = 20.0
SETTLE_EVERY_S = 10.0
SWEEP_EVERY_S = 600.0
HOSTS_EVERY_S = 60.0
DRAIN_S = 10.0
"""How long what is under way may take once the service ends; what it leaves undone, the next life does."""

_log = structlog.get_logger(__name__)


class PeriodicTask(msgspec.Struct, frozen=True):
    """Something that is done again and again; never twice at a time, late or left out without harm."""

    name: str
    run: Callable[[], Awaitable[object]]
    every_s: float


class Scheduler:
    """Runs each task at once and then again and again, none of which waits for another."""

    def __init__(self, tasks: Sequence[PeriodicTask], first: Sequence[PeriodicTask] = ()) -> None:
        """``first``: done once before all others, one after the other, to catch up on what came while nobody worked."""
        self._first = first
        self._tasks = (*first, *tasks)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run until cancelled; what is under way by then is finished, within ``DRAIN_S``."""
        # One that comes late is run all the same, many missed ones once, and never two of one at a time.
        scheduler = AsyncIOScheduler(
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}, timezone="UTC"
        )
        try:
            for task in self._first:
                await self._tracked(task)
            for task in self._tasks:
                at_once = {} if task in self._first else {"next_run_time": datetime.now(UTC)}
                scheduler.add_job(
                    self._tracked, "interval", seconds=task.every_s, args=(task,), id=task.name, **at_once
                )
            scheduler.start()
            await asyncio.Event().wait()
        finally:
            if scheduler.running:
                scheduler.pause()
            if self._under_way:
                _, late = await asyncio.wait(self._under_way, timeout=DRAIN_S)
                for one in late:
                    one.cancel()
                if late:
                    await asyncio.wait(late)
            if scheduler.running:
                scheduler.shutdown(wait=False)

    async def _tracked(self, task: PeriodicTask) -> None:
        # A task of its own, which is not cancelled with the scheduler.
        under_way = asyncio.create_task(_handled(task))
        self._under_way.add(under_way)
        under_way.add_done_callback(self._under_way.discard)
        await asyncio.shield(under_way)


async def _handled(task: PeriodicTask) -> None:
    try:
        await task.run()
    except (StoreFailed, HypervisorUnavailable, ProjectionBehind) as problem:
        _log.warning("task waits", task=task.name, problem=str(problem))
    except Exception:  # noqa: BLE001 An alarm clock that breaks at the first mishap wakes nobody the next time.
        _log.exception("task failed", task=task.name)
