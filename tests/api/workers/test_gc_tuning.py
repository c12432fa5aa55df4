"""Garbage that is old is looked for when it is asked for, and only then."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from api.workers import gc_tuning as garbage
from tests.api.compute_world import until

pytestmark = pytest.mark.anyio


class Node:
    """Points at itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


async def test_old_garbage_is_left_alone_until_it_is_looked_for_now_and_then() -> None:
    looking = asyncio.create_task(garbage.collect_periodically(every_s=0.01))
    await asyncio.sleep(0)
    node = Node()
    gone = weakref.ref(node)
    gc.collect(0)
    gc.collect(1)  # Now it is old.
    del node

    kept = [[number] for number in range(300_000)]  # Of itself, Python would look through everything by now.
    assert kept
    assert gone() is not None

    await until(lambda: gone() is None)
    looking.cancel()
    await asyncio.wait([looking])
