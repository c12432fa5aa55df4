"""Tasks that want the same streams go one after another, and never wait for each other."""

import asyncio
from uuid import UUID

import pytest

from api.application.stream_locks import StreamLocks
from domain.ids import StreamId

pytestmark = pytest.mark.anyio

WALLET, TOKEN, VPS = (StreamId(UUID(int=number)) for number in (1, 2, 3))


async def test_one_waits_for_each_stream_that_another_holds() -> None:
    locks, told = StreamLocks(), []

    async def hold(name: str, *streams: StreamId) -> None:
        async with locks.hold(streams):
            told.append(f"{name} begins")
            await asyncio.sleep(0.001)
            told.append(f"{name} ends")

    await asyncio.gather(hold("one", TOKEN, WALLET), hold("two", VPS, WALLET))

    assert told == ["one begins", "one ends", "two begins", "two ends"]


async def test_two_who_tell_the_same_streams_in_another_order_do_not_wait_for_each_other() -> None:
    locks = StreamLocks()

    async def hold(*streams: StreamId) -> None:
        async with locks.hold(streams):
            await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await asyncio.gather(*(hold(*streams) for streams in [(WALLET, TOKEN, VPS), (VPS, TOKEN, WALLET)] * 20))


async def test_what_nobody_waits_for_is_not_contended_and_not_kept() -> None:
    locks = StreamLocks()

    async with locks.hold((WALLET, TOKEN)):
        assert locks.contended((WALLET, VPS)) == {WALLET}

    assert locks.contended((WALLET, TOKEN, VPS)) == frozenset()


async def test_whoever_is_cancelled_while_it_waits_holds_nothing() -> None:
    locks = StreamLocks()
    async with locks.hold((TOKEN,)):
        waiting = asyncio.create_task(_take(locks, WALLET, TOKEN))
        await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.wait([waiting])

    async with asyncio.timeout(5), locks.hold((WALLET, TOKEN)):
        pass
    assert locks.contended((WALLET, TOKEN)) == frozenset()


async def _take(locks: StreamLocks, *streams: StreamId) -> None:
    async with locks.hold(streams):
        pass
