"""The alarm clock rings at once, then again and again, and breaks at nothing."""

import asyncio

import pytest

from api.workers.scheduler import Schedules
from tests.api.compute_world import until

pytestmark = pytest.mark.anyio


async def test_it_catches_up_at_once_observing_before_settling_then_rings_on_though_one_fails() -> None:
    rung: list[str] = []

    async def observe() -> None:
        rung.append("observe")
        raise RuntimeError("the host is on fire")

    async def settle() -> None:
        rung.append("settle")

    task = asyncio.create_task(Schedules(observe, settle, observe_every_s=0.05, settle_every_s=0.05).run())
    await until(lambda: rung.count("observe") > 2 and rung.count("settle") > 2)
    task.cancel()
    await asyncio.wait([task])

    assert rung[:2] == ["observe", "settle"]


async def test_what_is_under_way_is_finished_before_it_ends() -> None:
    rings: list[str] = []

    async def observe() -> None:
        pass

    async def settle() -> None:
        rings.append("begun")
        if len(rings) > 2:
            await asyncio.sleep(0.1)
        rings.append("finished")

    task = asyncio.create_task(Schedules(observe, settle, observe_every_s=60, settle_every_s=0.05).run())
    await until(lambda: len(rings) > 2)
    task.cancel()
    await asyncio.wait([task])

    assert rings == ["begun", "finished"] * 2


async def test_what_else_is_to_be_done_from_time_to_time_rings_as_well() -> None:
    rung: list[str] = []

    async def nothing() -> None: ...

    async def look() -> None:
        rung.append("look")

    task = asyncio.create_task(Schedules(nothing, nothing, also=[("blobs", look, 0.05)]).run())
    await until(lambda: len(rung) > 2)
    task.cancel()
    await asyncio.wait([task])
