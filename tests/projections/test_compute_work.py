"""Work to do is what the next step of each VPS says, also where a property folds it in memory."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.memory.leases import LeaseTable, MemoryLeases
from adapters.postgres.leases import PostgresLeases
from domain.compute.events import (
    VpsDeleted,
    VpsDeleteRequested,
    VpsExpirySet,
    VpsExpiryWarned,
    VpsLaunched,
    VpsPlaced,
    VpsPrepared,
    VpsRequested,
    VpsRunning,
    VpsUserDataEnded,
)
from domain.compute.work import Leases, OpenWork
from domain.exec.events import JobFinished, JobRequested
from domain.ids import AccountId, HostId, JobId, VpsId, job_stream, vps_stream
from domain.time import Instant
from projections.compute_work import COMPUTE_WORK, TabledWork
from projections.jobs import JOBS
from projections.reading import ReadModels
from tests.projections.history import PLAN, History
from tests.properties.open_work import MemoryOpenWork

pytestmark = pytest.mark.anyio

HOST = HostId(UUID(int=9))
REQUESTED, RUNNING, DELETING, DELETED = (VpsId(UUID(int=k)) for k in range(1, 5))
HOLDER = UUID(int=8)
OPEN, FINISHED = JobId(UUID(int=11)), JobId(UUID(int=12))
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def at(after: int) -> Instant:
    return Instant(1_000_000 + after)


async def _vps(history: History, account_id: AccountId, vps_id: VpsId, *events: object) -> None:
    requested = VpsRequested(
        vps_id, account_id, "web", PLAN, 1, 256, 5, "lite", (), "", "#!/bin/sh\n", None, None, at(vps_id.int)
    )
    for event in (requested, *events):
        await history.record(account_id, (vps_stream(vps_id), event))  # type: ignore[arg-type]


async def _job(history: History, account_id: AccountId, job_id: JobId, *, finished: bool) -> None:
    requested = JobRequested(job_id, account_id, RUNNING, None, 1, at(job_id.int), "true", 30, False)
    await history.record(account_id, (job_stream(job_id), requested))
    if finished:
        ended = JobFinished(job_id, account_id, RUNNING, "done", 0, 5, 0, NOTHING, 0, NOTHING, False, at(50))
        await history.record(account_id, (job_stream(job_id), ended))


@pytest.fixture
def lease_table(history: History) -> LeaseTable:
    return LeaseTable(history.clock)


@pytest.fixture(params=["table", "memory"])
def kept_in(request: pytest.FixtureRequest) -> str:
    """Return where open work and leases are: in the tables of production, or in memory."""
    return str(request.param)


@pytest.fixture
async def leases(database_url: str, kept_in: str, lease_table: LeaseTable) -> AsyncIterator[Leases]:
    """Give leases of a holder."""
    if kept_in == "memory":
        yield MemoryLeases(lease_table, HOLDER)
        return
    async with AsyncConnectionPool(database_url, min_size=1, kwargs={"autocommit": True}) as pool:
        yield PostgresLeases(pool, HOLDER)


@pytest.fixture
async def work(history: History, followed: ReadModels, kept_in: str, lease_table: LeaseTable) -> OpenWork:
    account_id = await history.registered()
    up = (
        VpsPlaced(HOST, "127.0.0.1", 2201, at(20)),
        VpsPrepared("ssh-ed25519 A", at(21)),
        VpsLaunched(1, "boot/1", at(22)),
        VpsRunning(1, "boot/1", 0, at(23)),
    )
    await _vps(history, account_id, REQUESTED)
    await _vps(history, account_id, RUNNING, *up)
    await _vps(history, account_id, DELETING, up[0], VpsDeleteRequested(1, at(30)))
    await _vps(history, account_id, DELETED, up[0], VpsDeleteRequested(1, at(30)), VpsDeleted(at(31)))
    await _job(history, account_id, OPEN, finished=False)
    await _job(history, account_id, FINISHED, finished=True)
    await followed.caught_up(await history.store.head(), COMPUTE_WORK, JOBS)
    return TabledWork(followed) if kept_in == "table" else MemoryOpenWork(history.store, lease_table)


async def test_vpss_with_a_step_to_take_are_due_the_longest_waiting_first(work: OpenWork) -> None:
    assert list(await work.due_vpss([HOST], 10)) == [REQUESTED, DELETING]
    assert list(await work.due_vpss([HOST], 1)) == [REQUESTED]


async def test_what_is_due_on_a_host_that_one_does_not_drive_is_left_to_others(work: OpenWork) -> None:
    assert list(await work.due_vpss([HostId(UUID(int=10))], 10)) == [REQUESTED]
    assert list(await work.due_vpss([], 10)) == [REQUESTED]


async def test_what_is_placed_on_a_host_is_there_until_nothing_is_left_of_it(work: OpenWork) -> None:
    assert set(await work.vpss_on(HOST)) == {RUNNING, DELETING}


async def test_user_data_is_awaited_of_what_runs_until_its_end_is_told(
    work: OpenWork, history: History, followed: ReadModels
) -> None:
    assert list(await work.awaiting_user_data([HOST], None, 10)) == [RUNNING]
    assert list(await work.awaiting_user_data([HOST], RUNNING, 10)) == []
    assert list(await work.awaiting_user_data([HostId(UUID(int=10))], None, 10)) == []
    account_id = await history.registered()
    await history.record(account_id, (vps_stream(RUNNING), VpsUserDataEnded("done", "the end", at(40))))
    await followed.caught_up(await history.store.head(), COMPUTE_WORK)
    assert list(await work.awaiting_user_data([HOST], None, 10)) == []


async def test_vpss_are_met_whose_end_is_to_be_told_or_has_come_and_no_others(
    work: OpenWork, history: History, followed: ReadModels
) -> None:
    account_id = await history.registered(email="eve@example.com")
    soon, told, over, never, gone = (VpsId(UUID(int=k)) for k in range(21, 26))
    await _vps(history, account_id, soon, VpsExpirySet(at(200), at(50)))
    await _vps(history, account_id, told, VpsExpirySet(at(200), at(50)), VpsExpiryWarned(at(200), at(60)))
    await _vps(history, account_id, over, VpsExpirySet(at(100), at(50)), VpsExpiryWarned(at(100), at(60)))
    await _vps(history, account_id, never, VpsExpirySet(at(100), at(50)), VpsExpirySet(None, at(60)))
    await _vps(history, account_id, gone, VpsExpirySet(at(100), at(50)), VpsDeleteRequested(1, at(60)))
    await followed.caught_up(await history.store.head(), COMPUTE_WORK, timeout_s=30)

    assert list(await work.expiring(at(199), at(99), None, 10)) == []
    assert list(await work.expiring(at(200), at(100), None, 10)) == [soon, over]
    assert list(await work.expiring(at(200), at(100), soon, 10)) == [over]
    assert list(await work.expiring(at(200), at(200), None, 2)) == [soon, told]


async def test_jobs_that_are_not_finished_are_open_once_they_are_old_enough(work: OpenWork) -> None:
    assert list(await work.open_jobs(at(12), 10)) == [OPEN]
    assert list(await work.open_jobs(at(11), 10)) == []


async def test_what_is_leased_or_postponed_is_left_out(work: OpenWork, leases: Leases) -> None:
    await leases.take("vps", REQUESTED, 30)
    await leases.take("job", OPEN, 30)
    await leases.take("user-data", RUNNING, 30)
    assert list(await work.due_vpss([HOST], 1)) == [DELETING]
    assert list(await work.open_jobs(at(99), 10)) == []

    assert list(await work.awaiting_user_data([HOST], None, 10)) == []

    await leases.postpone("job", OPEN, 30)
    assert list(await work.open_jobs(at(99), 10)) == []

    await leases.done("vps", REQUESTED)
    assert list(await work.due_vpss([HOST], 1)) == [REQUESTED]


async def test_nobodys_many_keep_others_waiting(
    work: OpenWork, history: History, followed: ReadModels, leases: Leases
) -> None:
    greedy, other = [await history.registered(email=f"{name}@example.com") for name in ("greedy", "other")]
    many = [JobId(UUID(int=20 + k)) for k in range(5)]
    for job_id in many:
        await _job(history, greedy, job_id, finished=False)
    last, vps_id = JobId(UUID(int=40)), VpsId(UUID(int=45))
    await _job(history, other, last, finished=False)
    for k in range(5):
        await _vps(history, greedy, VpsId(UUID(int=35 + k)))
    await _vps(history, other, vps_id)
    await followed.caught_up(await history.store.head(), COMPUTE_WORK, JOBS)

    assert list(await work.open_jobs(at(99), 3)) == [OPEN, many[0], last]
    assert vps_id in list(await work.due_vpss([HOST], 4))
