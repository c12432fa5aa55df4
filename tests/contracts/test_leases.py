"""Leases give a thing to one holder at a time, in memory and in PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.clock import SystemClock
from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.postgres.leases import PostgresLeases
from domain.compute.work import Leases

pytestmark = pytest.mark.anyio

KEY = UUID(int=1)
LONG_S = 60.0
SHORT_S = 0.05


@pytest.fixture(params=["memory", "postgres"])
async def holders(request: pytest.FixtureRequest) -> AsyncIterator[list[Leases]]:
    if request.param == "memory":
        table = LeaseTable(SystemClock())
        yield [MemoryLeases(table, uuid4()) for _ in range(8)]
        return
    url = request.getfixturevalue("database_url")
    async with AsyncConnectionPool(url, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}) as pool:
        yield [PostgresLeases(pool, uuid4()) for _ in range(8)]


async def test_of_many_who_come_at_once_one_has_it(holders: list[Leases]) -> None:
    taken = await asyncio.gather(*(holder.take("vps", KEY, LONG_S) for holder in holders))

    assert sorted(taken, key=str) == [0] + [None] * 7


async def test_scopes_and_keys_are_apart(holders: list[Leases]) -> None:
    first = holders[0]

    assert await first.take("vps", KEY, LONG_S) == 0
    assert await first.take("job", KEY, LONG_S) == 0
    assert await first.take("vps", UUID(int=2), LONG_S) == 0
    assert await first.take("vps", KEY, LONG_S) is None


async def test_what_its_holder_never_gave_back_is_free_after_a_while(holders: list[Leases]) -> None:
    await holders[0].take("vps", KEY, SHORT_S)
    await asyncio.sleep(2 * SHORT_S)

    assert await holders[1].take("vps", KEY, LONG_S) == 0
    assert not await holders[0].extend("vps", KEY, LONG_S)


async def test_a_lease_is_kept_for_longer(holders: list[Leases]) -> None:
    await holders[0].take("vps", KEY, SHORT_S)
    assert await holders[0].extend("vps", KEY, LONG_S)
    await asyncio.sleep(2 * SHORT_S)

    assert await holders[1].take("vps", KEY, LONG_S) is None


async def test_what_is_done_is_free_at_once_and_nothing_is_remembered(holders: list[Leases]) -> None:
    await holders[0].take("vps", KEY, LONG_S)
    await holders[0].postpone("vps", KEY, 0)
    await holders[0].take("vps", KEY, LONG_S)
    await holders[0].done("vps", KEY)

    assert await holders[1].take("vps", KEY, LONG_S) == 0


async def test_what_is_postponed_is_left_alone_and_its_tries_are_counted(holders: list[Leases]) -> None:
    await holders[0].take("vps", KEY, LONG_S)
    await holders[0].postpone("vps", KEY, SHORT_S)

    assert await holders[1].take("vps", KEY, LONG_S) is None
    await asyncio.sleep(2 * SHORT_S)
    assert await holders[1].take("vps", KEY, LONG_S) == 1


async def test_of_many_those_are_told_that_are_leased_or_postponed(holders: list[Leases]) -> None:
    leased, postponed, given_back, done, lapsed, never = (UUID(int=number) for number in range(2, 8))
    for key in (leased, postponed, given_back, done):
        await holders[0].take("vps", key, LONG_S)
    await holders[0].take("vps", lapsed, SHORT_S)
    await holders[0].postpone("vps", postponed, LONG_S)
    await holders[0].postpone("vps", given_back, 0)
    await holders[0].done("vps", done)
    await holders[0].take("job", never, LONG_S)
    await asyncio.sleep(2 * SHORT_S)
    keys = [leased, postponed, given_back, done, lapsed, never]

    assert await holders[1].taken("vps", keys) == {leased, postponed}
    assert await holders[0].taken("vps", keys[:1]) == {leased}, "nor are its holder's own free"
    assert await holders[0].taken("vps", []) == set()


async def test_only_its_holder_gives_it_back(holders: list[Leases]) -> None:
    await holders[0].take("vps", KEY, LONG_S)
    await holders[1].done("vps", KEY)
    await holders[1].postpone("vps", KEY, 0)

    assert await holders[1].take("vps", KEY, LONG_S) is None
