"""Rate counters: each subject and quota by itself, all processes together."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.rate_counters import PostgresRateCounters
from domain.accounts.ports import Quota, RateCounters

pytestmark = pytest.mark.anyio

MINUTE = Quota("login", 10, 60)
BLINK = Quota("blink", 10, 1)


@pytest.fixture
async def counters(database_url: str) -> AsyncIterator[RateCounters]:
    made = PostgresRateCounters(database_url)
    yield made
    await made.close()


async def test_each_subject_has_a_count_of_its_own(counters: RateCounters) -> None:
    first = await counters.count([(MINUTE, "a"), (MINUTE, "b")])
    second = await counters.count([(MINUTE, "a")])

    assert [tally.count for tally in (*first, *second)] == [1, 1, 2]
    assert 55 <= second[0].reset_s <= 60


async def test_the_same_subject_counts_apart_for_another_quota(counters: RateCounters) -> None:
    await counters.count([(MINUTE, "a")])

    assert (await counters.count([(BLINK, "a")]))[0].count == 1


async def test_tries_at_once_are_all_counted(counters: RateCounters) -> None:
    tallies = await asyncio.gather(*(counters.count([(MINUTE, "a")]) for _ in range(50)))

    assert sorted(tally.count for (tally,) in tallies) == list(range(1, 51))


async def test_a_window_that_is_over_begins_anew(counters: RateCounters) -> None:
    await counters.count([(BLINK, "a"), (BLINK, "a")])
    await asyncio.sleep(1.05)

    assert (await counters.count([(BLINK, "a")]))[0].count == 1


async def test_processes_count_together(database_url: str) -> None:
    one, other = PostgresRateCounters(database_url), PostgresRateCounters(database_url)
    for _ in range(3):
        await one.count([(MINUTE, "a")])

    assert (await other.count([(MINUTE, "a")]))[0].count == 4
    await one.close()
    await other.close()
