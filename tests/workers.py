"""Several workers (pytest-xdist) that take the tests of a session from one queue, a file at a time."""

import os
from collections import defaultdict

import pytest

WORKERS_MAX = 4
"""How many the Makefile starts at most, where the machine has so many cores."""
_LONGEST_FIRST = ("host", "slow")


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of several that another one gives tests to."""
    return hasattr(config, "workerinput")


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
