"""The alarm clock rings at once, then again and again, breaks at nothing, and ends in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from api.workers import scheduler
from api.workers.scheduler import PeriodicTask, Scheduler
from domain.ports import StoreUnavailable
from tests.api.compute_world import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def running(tasks: Sequence[PeriodicTask], first: Sequence[PeriodicTask] = ()) -> AsyncIterator[None]:
    task = asyncio.create_task(Scheduler(tasks, first).run())
    try:
        yield
    finally:
        task.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait([task])
        assert task.cancelled()


async def test_it_catches_up_first_and_in_order_then_goes_on_though_one_fails() -> None:
    done: list[str] = []

    async def observe() -> None:
        done.append("observe")
        raise RuntimeError("the host is on fire") if len(done) % 2 else StoreUnavailable("away")

    async def settle() -> None:
        await asyncio.sleep(0)
        done.append("settle")

    async def look() -> None:
        done.append("look")

    first = PeriodicTask("observe", observe, 0.05), PeriodicTask("settle", settle, 0.05)
    async with running([PeriodicTask("look", look, 60)], first):
        await until(lambda: done.count("observe") > 2 and done.count("settle") > 2)

    assert done[:3] == ["observe", "settle", "look"]
    assert done.count("look") == 1


async def test_one_that_hangs_holds_up_no_other() -> None:
    done: list[str] = []
    hangs = asyncio.Event()

    async def mail() -> None:
        done.append("mail")
        await hangs.wait()

    async def settle() -> None:
        done.append("settle")

    async with running([PeriodicTask("mail", mail, 0.02), PeriodicTask("settle", settle, 0.02)]):
        await until(lambda: done.count("settle") > 5)
        hangs.set()

    assert done.count("mail") == 1, "nothing is done twice at a time"


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_is_under_way_is_finished_before_it_ends(is_first: bool) -> None:
    told: list[str] = []

    async def settle() -> None:
        told.append("begun")
        await asyncio.sleep(0.05)
        told.append("finished")

    task = PeriodicTask("settle", settle, 60)
    async with running([] if is_first else [task], [task] if is_first else []):
        await until(lambda: told == ["begun"])

    assert told == ["begun", "finished"]


async def test_what_takes_for_ever_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "DRAIN_S", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running([PeriodicTask("hang", hang, 60)]):
        await begun.wait()

    assert ended.is_set()
