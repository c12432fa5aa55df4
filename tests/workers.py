"""Several workers (pytest-xdist) that take the tests of a session from one queue, a file at a time."""

import os
import shutil
import signal
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

WORKERS_MAX = 4
"""How many the Makefile starts at most, where the machine has so many cores."""
CLEAN_UP_S = 60.0
"""How long workers that are told to end may take to clean up; pytest-xdist itself kills them after 10 s."""
_POLL_S = 0.1
_LONGEST_FIRST = ("host", "slow")
_RUNNING = "litevps_running"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of several that another one gives tests to."""
    return hasattr(config, "workerinput")


class Workers:
    """What the process that gives tests to workers knows of them: one file for each that has not cleaned up yet."""

    def __init__(self) -> None:
        self._running = Path(tempfile.mkdtemp(prefix="litevps-workers-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where it says that it runs."""
        node.workerinput[_RUNNING] = str(self._running)

    def pytest_keyboard_interrupt(self) -> None:
        """End all workers at once, and wait until they have cleaned up."""
        for file in self._running.iterdir():
            os.kill(int(file.name), signal.SIGTERM)
        deadline = time.monotonic() + CLEAN_UP_S
        while any(self._running.iterdir()) and time.monotonic() < deadline:
            time.sleep(_POLL_S)

    def pytest_unconfigure(self) -> None:
        """Remove what was kept of them."""
        shutil.rmtree(self._running)


class Worker:
    """A worker, which says that it runs until all that it made is cleaned up."""

    def __init__(self, config: pytest.Config) -> None:
        self._file = Path(config.workerinput[_RUNNING], str(os.getpid()))  # type: ignore[attr-defined]
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end)
        self._file.touch()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Say that it has ended."""
        self._file.unlink(missing_ok=True)

    def _end(self, *_: object) -> None:
        # The next one, such as pytest-xdist sends after 5 s, would interrupt the cleaning up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt


def worker_number() -> int:
    """Return 0, 1, … for the workers of a session; 0 where there is but this process."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def order_for_sharing(items: list[pytest.Item]) -> None:
    """Put the files that take long before others, so that all workers end at about the same time."""
    marks: dict[str, set[str]] = defaultdict(set)
    for item in items:
        marks[item.location[0]] |= {mark.name for mark in item.iter_markers()}
    items.sort(key=lambda item: _place(marks[item.location[0]]))


def _place(marks: set[str]) -> int:
    return next((place for place, mark in enumerate(_LONGEST_FIRST) if mark in marks), len(_LONGEST_FIRST))
