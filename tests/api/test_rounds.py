"""Rounds are gone again and again, whatever happens on them."""

import asyncio

import pytest

from api.workers import periodic_task as rounds
from api.workers.periodic_task import PeriodicTask
from domain.ports import StoreUnavailable
from tests.api.compute_world import until

pytestmark = pytest.mark.anyio


async def test_who_stumbles_goes_the_round_again() -> None:
    gone = 0

    async def go() -> None:
        nonlocal gone
        gone += 1
        raise StoreUnavailable("away") if gone % 2 else RuntimeError("a stone")

    task = asyncio.create_task(PeriodicTask("test", go, every_s=0.01).run())
    await until(lambda: gone > 3)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


async def test_a_round_that_is_begun_is_ended_before_the_service_is() -> None:
    told: list[str] = []
    begun = asyncio.Event()

    async def go() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        told.append("ended")

    task = asyncio.create_task(PeriodicTask("test", go, every_s=60).run())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])

    assert told == ["ended"]


async def test_a_round_that_takes_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "DRAIN_S", 0.05)
    begun = asyncio.Event()

    async def go() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(PeriodicTask("test", go, every_s=60).run())
    await begun.wait()
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.wait([task])

    assert task.cancelled()
