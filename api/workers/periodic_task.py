"""Rounds: a part of the service that does one thing again and again, and for which nothing else waits."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.ports import StoreFailed
from projections.reading import ProjectionBehind

DRAIN_S = 10.0
"""How long a round that is under way may take once the service ends; what it leaves undone, the next life does."""

_log = structlog.get_logger(__name__)


class PeriodicTask:
    """Goes one round after another; any number of processes may go the same ones."""

    def __init__(self, name: str, go: Callable[[], Awaitable[object]], *, every_s: float) -> None:
        self._name = name
        self._go = go
        self._every_s = every_s

    async def run(self) -> None:
        """Go rounds until cancelled; then end the one that is begun, within ``DRAIN_S``."""
        while True:
            under_way = asyncio.create_task(self._round())
            try:
                await asyncio.shield(under_way)
            except asyncio.CancelledError:
                await asyncio.wait([under_way], timeout=DRAIN_S)
                under_way.cancel()
                await asyncio.wait([under_way])
                raise
            await asyncio.sleep(self._every_s)

    async def _round(self) -> None:
        try:
            await self._go()
        except (StoreFailed, ProjectionBehind) as away:
            _log.warning("round waits for the store", round=self._name, problem=str(away))
        except Exception:  # noqa: BLE001 Who stumbles goes the round again.
            _log.exception("round failed", round=self._name)
