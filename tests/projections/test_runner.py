"""Tests of the runner: read models keep up, once, in order, whoever else runs and whatever else fails."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest
from structlog.testing import capture_logs

from adapters.memory.event_store import MemoryEventStore
from domain.ports import StoreUnavailable
from domain.wallet.events import FundsCredited
from projections.balances import BALANCES, balances_of
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.read_model import Connection, Entry, ReadModel
from projections.reading import Progress, ProjectionBehind, ReadModels
from projections.runner import Folding, NotInstalled, Runner, connect
from projections.vps import VPS, count_of
from tests.projections.conftest import running
from tests.projections.history import History

pytestmark = pytest.mark.anyio


async def test_a_write_is_seen_by_the_read_that_follows_it(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    for made in range(1, 21):
        await history.vps_requested(ada)
        async with followed.at(await history.store.head(), VPS) as connection:
            assert await count_of(connection, ada) == made


async def test_a_write_is_seen_by_reads_of_another_process(
    history: History, followed: ReadModels, database_url: str
) -> None:
    elsewhere = ReadModels(database_url)
    await elsewhere.open()
    ada = await history.registered()
    await history.vps_requested(ada)
    async with elsewhere.at(await history.store.head(), VPS) as connection:
        assert await count_of(connection, ada) == 1
    await elsewhere.close()


async def test_a_read_that_would_wait_too_long_is_refused(history: History, read_models: ReadModels) -> None:
    await history.registered()
    with pytest.raises(ProjectionBehind):
        await read_models.caught_up(await history.store.head(), VPS, timeout_s=0.05)


async def test_two_runners_fold_every_event_once(history: History, read_models: ReadModels, database_url: str) -> None:
    runners = [Runner(history.store, database_url, READ_MODELS, schema=SCHEMA) for _ in range(2)]
    async with running(runners[0]), running(runners[1]):
        accounts = [await history.registered(micros=100) for _ in range(30)]
        async with read_models.at(await history.store.head(), BALANCES) as connection:
            assert await balances_of(connection, accounts) == dict.fromkeys(accounts, 100)


async def test_another_runner_takes_over_when_the_first_is_gone(
    history: History, read_models: ReadModels, database_url: str
) -> None:
    first, second = (Runner(history.store, database_url, READ_MODELS, schema=SCHEMA) for _ in range(2))
    async with running(second):
        async with running(first):
            await asyncio.sleep(0.1)
        ada = await history.registered(micros=100)
        async with read_models.at(await history.store.head(), BALANCES) as connection:
            assert await balances_of(connection, [ada]) == {ada: 100}


async def test_a_batch_is_not_folded_twice_by_one_who_lost_the_lease(history: History, database_url: str) -> None:
    ada = await history.registered(micros=100)
    async with await connect(database_url, SCHEMA) as one, await connect(database_url, SCHEMA) as other:
        early, late = Folding(one, history.store, [BALANCES]), Folding(other, history.store, [BALANCES])
        await early.find_positions()
        await late.find_positions()
        await early.advance()
        await late.advance()
        assert await balances_of(one, [ada]) == {ada: 100}
        assert late.positions == early.positions == {"balances": await history.store.head()}


async def test_an_event_that_cannot_be_folded_stops_its_read_model_and_no_other(
    history: History, read_models: ReadModels, database_url: str
) -> None:
    async def refuse_large_credits(connection: Connection, batch: Sequence[Entry]) -> None:
        for entry in batch:
            assert isinstance(entry.event, FundsCredited)
            assert entry.event.amount < 1_000, "too much for this read model"

    broken = ReadModel(name="jobs", tables=(), sql="", events=(FundsCredited,), apply=refuse_large_credits)
    others = [model for model in READ_MODELS if model.name != "jobs"]
    await history.registered(micros=999)
    poison = await history.registered(micros=1_000)
    await history.registered(micros=1)
    with capture_logs() as logs:
        async with running(Runner(history.store, database_url, [broken, *others], schema=SCHEMA)):
            async with read_models.at(await history.store.head(), BALANCES) as connection:
                assert await balances_of(connection, [poison]) == {poison: 1_000}
            stopped = await until_stopped(read_models, "jobs")
            with pytest.raises(ProjectionBehind):
                await read_models.caught_up(await history.store.head(), broken, timeout_s=0.2)
    assert stopped.position == 5
    assert stopped.failed_at == 6
    assert stopped.failure == "AssertionError at wallet.funds-credited.v1"
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["projection stopped"]


async def until_stopped(read_models: ReadModels, name: str) -> Progress:
    """Wait until a read model has stopped at an event; return how far it is."""
    for _ in range(1_000):
        found = {one.name: one for one in await read_models.progress()}[name]
        if found.failed_at is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} goes on")


@pytest.mark.parametrize(("sqlstate", "stops"), [("54000", True), ("53100", False), ("57014", False), ("25006", False)])
async def test_what_the_database_lacks_stops_no_read_model_and_what_is_too_large_stops_just_one(
    history: History, read_models: ReadModels, database_url: str, sqlstate: str, stops: bool
) -> None:
    raised: list[str] = []

    async def raising(connection: Connection, batch: Sequence[Entry]) -> None:
        if stops or len(raised) < 2:
            raised.append(sqlstate)
            await connection.execute(
                f"DO $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{sqlstate}'; END $$".encode()
            )

    broken = ReadModel(name="jobs", tables=(), sql="", events=(FundsCredited,), apply=raising)
    others = [model for model in READ_MODELS if model.name != "jobs"]
    ada = await history.registered(micros=100)
    head = await history.store.head()
    async with running(Runner(history.store, database_url, [broken, *others], schema=SCHEMA)):
        await read_models.caught_up(head, BALANCES, timeout_s=10)
        async with read_models.at(head, BALANCES) as connection:
            assert await balances_of(connection, [ada]) == {ada: 100}
        if stops:
            stopped = await until_stopped(read_models, "jobs")
            assert stopped.failure == "ProgramLimitExceeded at wallet.funds-credited.v1"
        else:
            await read_models.caught_up(head, broken, timeout_s=10)


async def test_a_runner_goes_on_after_its_connection_was_lost(
    history: History, followed: ReadModels, superuser_url: str
) -> None:
    ada = await history.registered(micros=100)
    await followed.caught_up(await history.store.head(), BALANCES)
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'litevps projections'"
            " AND datname = current_database()"
        )
    await history.vps_requested(ada)
    await followed.caught_up(await history.store.head(), BALANCES, VPS, timeout_s=5)


async def test_reads_that_lose_their_connection_are_told_that_the_store_is_unavailable(
    read_models: ReadModels, superuser_url: str
) -> None:
    async with read_models.at(0, BALANCES) as connection:
        await connection.execute("SELECT 1")
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'litevps reads'"
            " AND datname = current_database()"
        )
    with pytest.raises(StoreUnavailable):
        await read_models.progress()
    assert await read_models.progress()


async def test_a_read_model_without_tables_says_what_to_do(history: History, database_url: str) -> None:
    unknown = ReadModel(name="unknown", tables=(), sql="", events=(), apply=BALANCES.apply)
    with pytest.raises(NotInstalled, match="litevps migrate"):
        await Runner(history.store, database_url, [unknown], schema=SCHEMA).run()


async def test_a_read_model_that_is_far_behind_does_not_hold_up_the_others(
    history: History, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(history.store, MemoryEventStore)
    monkeypatch.setattr("projections.runner.BATCH_EVENTS_MAX", 10)
    async with await connect(database_url, SCHEMA) as connection:
        for _ in range(20):
            await history.registered()
        ahead = Folding(connection, history.store, [BALANCES])
        await ahead.find_positions()
        while await ahead.advance():
            pass
        await history.registered()
        both = Folding(connection, history.store, [BALANCES, VPS])
        await both.find_positions()
        await both.advance()
        assert both.positions == {"balances": await history.store.head(), "vps": 10}


@pytest.mark.parametrize(("far_behind", "folded"), [(20, 3), (10, 15)])
async def test_what_is_nearly_up_with_the_ledger_is_folded_a_few_events_at_once(
    history: History, database_url: str, monkeypatch: pytest.MonkeyPatch, far_behind: int, folded: int
) -> None:
    monkeypatch.setattr("projections.runner.LIVE_EVENTS_MAX", 3)
    monkeypatch.setattr("projections.runner.FAR_BEHIND_EVENTS", far_behind)
    while await history.store.head() < 15:
        await history.registered()
    monkeypatch.setattr("projections.runner.BATCH_EVENTS_MAX", 15)
    async with await connect(database_url, SCHEMA) as connection:
        folding = Folding(connection, history.store, [BALANCES])
        await folding.find_positions()
        await folding.advance(live=True)

    assert folding.positions == {"balances": folded}
