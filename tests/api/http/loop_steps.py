"""How long an event loop's steps take: the time in which nobody else is answered.

A step is measured in CPU time of the loop's thread, so that a busy machine makes no step longer than it is.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from api.workers.gc_tuning import collect_seldom

UNDER_WAY: ContextVar[str] = ContextVar("under_way", default="")
"""What a step is done for."""


class Steps:
    """The longest steps of a loop."""

    def __init__(self) -> None:
        self.count = 0
        self.longest: dict[str, float] = {}
        """In seconds, by what they were done for."""

    @property
    def longest_s(self) -> float:
        """The longest of all."""
        return max(self.longest.values(), default=0.0)

    def over(self, limit_s: float) -> dict[str, float]:
        """Return those that took longer, in milliseconds, for a message."""
        return {name: round(took_s * 1000) for name, took_s in self.longest.items() if took_s > limit_s}


@contextmanager
def measured_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    """Measure every step of asyncio's own loops meanwhile."""
    steps = Steps()
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began_s = time.thread_time()
        run(handle)
        took_s = time.thread_time() - began_s
        steps.count += 1
        name = handle._context.get(UNDER_WAY, "")  # type: ignore[attr-defined]
        if took_s > steps.longest.get(name, 0.0):
            steps.longest[name] = took_s

    # All that a test process has made so far is no part of a step; the service, too, looks through it seldom.
    gc.collect()
    thresholds = gc.get_threshold()
    collect_seldom()
    monkeypatch.setattr(asyncio.Handle, "_run", timed)
    try:
        yield steps
    finally:
        monkeypatch.undo()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
