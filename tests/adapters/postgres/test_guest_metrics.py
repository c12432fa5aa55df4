"""Metrics of guests are kept for an hour a VPS, in as much room as that takes and no more."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.guest_metrics import PostgresGuestMetrics
from domain.compute.metrics import GuestMetrics, HostMetrics, MetricsStore
from domain.ids import HostId, VpsId
from domain.time import Instant, seconds

pytestmark = [pytest.mark.anyio, pytest.mark.database]
HOST = HostId(UUID(int=1))
BEGIN = 1_700_000_000


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[MetricsStore]:
    async with AsyncConnectionPool(database_url, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        yield PostgresGuestMetrics(pool)


def shown(at_s: int, *guests: VpsId, cpu_ns: int = 1) -> HostMetrics:
    metrics = (GuestMetrics(vps_id, 1, cpu_ns, 2, 3, 4, None, 6) for vps_id in guests)
    return HostMetrics(at(at_s), tuple(metrics))


def at(after_s: int) -> Instant:
    return Instant(seconds(BEGIN + after_s))


async def test_what_a_host_showed_is_read_again_oldest_first_and_of_one_vps_only(store: MetricsStore) -> None:
    one, other = VpsId(uuid4()), VpsId(uuid4())
    for at_s in (10, 0, 20):
        await store.keep(HOST, shown(at_s, one, other, cpu_ns=at_s))
    await store.keep(HOST, shown(30))

    samples = await store.of_vps(one, at(5))

    assert [(sample.host_id, sample.at) for sample in samples] == [(HOST, at(10)), (HOST, at(20))]
    assert samples[0].metrics == GuestMetrics(one, 1, 10, 2, 3, 4, None, 6)


async def test_an_hour_later_a_row_is_written_over_and_a_late_teller_changes_nothing(store: MetricsStore) -> None:
    vps_id = VpsId(uuid4())
    await store.keep(HOST, shown(3_600, vps_id, cpu_ns=9))
    await store.keep(HOST, shown(0, vps_id, cpu_ns=1))

    assert [sample.metrics.cpu_ns for sample in await store.of_vps(vps_id, at(-1))] == [9]


async def test_the_newest_of_each_is_told_of_those_that_are_on(store: MetricsStore) -> None:
    on, off = VpsId(uuid4()), VpsId(uuid4())
    await store.keep(HOST, shown(0, on, off))
    await store.keep(HOST, shown(40, on))
    await store.keep(HOST, shown(50, on, cpu_ns=7))

    newest = await store.newest(at(52))

    assert [(sample.metrics.vps_id, sample.metrics.cpu_ns) for sample in newest] == [(on, 7)]


async def test_what_is_older_than_an_hour_is_swept(store: MetricsStore) -> None:
    gone, here = VpsId(uuid4()), VpsId(uuid4())
    await store.keep(HOST, shown(0, gone))
    await store.keep(HOST, shown(3_590, here))

    await store.sweep(at(10))

    assert await store.of_vps(gone, at(-1)) == []
    assert len(await store.of_vps(here, at(-1))) == 1
