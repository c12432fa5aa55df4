"""Tests of running parts side by side, and of how they end."""

import asyncio
import os
import signal

import pytest

from api.http.server import BackgroundServiceEnded, run_services

pytestmark = pytest.mark.anyio


class _Recorded:
    """Parts that write down when they begin and end."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def part(self, name: str) -> object:
        async def run() -> None:
            self.told.append(f"{name} begins")
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.told.append(f"{name} ends")

        return run


async def _nothing() -> None: ...


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_parts_end_one_after_the_other_when_the_process_is_told_to(number: signal.Signals) -> None:
    recorded = _Recorded()

    async def told_to_end() -> None:
        await asyncio.sleep(0)
        os.kill(os.getpid(), number)

    await run_services({"http": recorded.part("http"), "worker": recorded.part("worker")}, told_to_end)  # type: ignore[dict-item]
    assert recorded.told == ["http begins", "worker begins", "http ends", "worker ends"]


async def test_the_first_signal_is_told_at_once_and_another_hurries() -> None:
    told: list[str] = []
    hurried = asyncio.Event()

    async def http() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append("http ends")
            os.kill(os.getpid(), signal.SIGINT)
            await hurried.wait()

    def force_shutdown() -> None:
        told.append("hurry")
        hurried.set()

    async def told_to_end() -> None:
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    async with asyncio.timeout(5):
        await run_services(
            {"http": http}, told_to_end, ending=lambda: told.append("ending"), force_shutdown=force_shutdown
        )
    assert told == ["ending", "http ends", "hurry"]


async def test_a_part_that_fails_ends_the_others_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = _Recorded()

    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(BackgroundServiceEnded, match=r"worker ended by itself.*broken"):
        await run_services({"http": recorded.part("http"), "worker": fail}, _nothing)  # type: ignore[dict-item]
    assert recorded.told == ["http begins", "http ends"]
