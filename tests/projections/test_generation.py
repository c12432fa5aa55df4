"""Tests of rebuilding: new tables come out equal, beside live traffic, and take the place of the old at once."""

import asyncio
from collections.abc import Sequence

import msgspec
import psycopg
import pytest

from domain.accounts.events import AccountClosed
from domain.ids import account_stream
from projections.balances import BALANCES, balances_of
from projections.catalogue import READ_MODELS
from projections.generation import RebuildFailed, install, rebuild
from projections.read_model import Connection, Entry
from projections.reading import ReadModels
from projections.vps import VPS, count_of
from tests.projections.history import History

pytestmark = pytest.mark.anyio


async def test_what_is_rebuilt_equals_what_was_live_row_by_row(
    history: History, followed: ReadModels, owner_url: str
) -> None:
    await _lively_history(history)
    await followed.caught_up(await history.store.head(), *READ_MODELS, timeout_s=30)
    live = _all_rows(owner_url)
    position = await rebuild(owner_url, history.store, READ_MODELS)
    assert position == await history.store.head()
    assert _all_rows(owner_url) == live
    empty = [model.name for model in READ_MODELS if not live[model.name]]
    assert empty == [], "record an event of it in _lively_history"


async def test_a_rebuild_mends_rows_that_had_gone_wrong(history: History, followed: ReadModels, owner_url: str) -> None:
    ada = await history.registered(micros=100)
    await followed.caught_up(await history.store.head(), BALANCES)
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE read_models.balance SET micros = 7")
    await rebuild(owner_url, history.store, [BALANCES])
    async with followed.at(await history.store.head(), BALANCES) as connection:
        assert await balances_of(connection, [ada]) == {ada: 100}


async def test_reads_and_writes_go_on_during_a_rebuild_and_lose_nothing(
    history: History, followed: ReadModels, owner_url: str
) -> None:
    ada = await history.registered()
    rebuilding = asyncio.create_task(_rebuild_often(owner_url, history, times=3))
    made = 0
    while not rebuilding.done():
        await history.vps_requested(ada)
        made += 1
        async with followed.at(await history.store.head(), VPS) as connection:
            assert await count_of(connection, ada) == made
    await rebuilding
    async with followed.at(await history.store.head(), VPS) as connection:
        assert await count_of(connection, ada) == made


async def test_a_rebuild_brings_back_a_read_model_that_had_stopped(
    history: History, followed: ReadModels, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.runner.IDLE_S", 0.05)
    await history.registered(micros=100)
    await followed.caught_up(await history.store.head(), BALANCES)
    with psycopg.connect(owner_url) as owner:
        owner.execute("UPDATE read_models.projection SET failed_at = 3, failure = 'KeyError at x'")
    await rebuild(owner_url, history.store, [BALANCES])
    await history.registered(micros=100)
    await followed.caught_up(await history.store.head(), BALANCES, timeout_s=7)
    stopped = {one.name: one.failed_at for one in await followed.progress()}
    assert stopped["balances"] is None


async def test_a_rebuild_that_meets_an_event_it_cannot_fold_leaves_the_live_tables(
    history: History, followed: ReadModels, owner_url: str
) -> None:
    async def refuse(connection: Connection, batch: Sequence[Entry]) -> None:
        raise ValueError

    ada = await history.registered(micros=100)
    await followed.caught_up(await history.store.head(), BALANCES)
    broken = msgspec.structs.replace(BALANCES, apply=refuse)
    with pytest.raises(RebuildFailed, match=r"balances: ValueError at wallet\.opened\.v1, position 2"):
        await rebuild(owner_url, history.store, [broken])
    async with followed.at(await history.store.head(), BALANCES) as connection:
        assert await balances_of(connection, [ada]) == {ada: 100}


async def test_the_service_can_use_rebuilt_tables_and_cannot_drop_them(
    history: History, followed: ReadModels, owner_url: str, database_url: str
) -> None:
    await rebuild(owner_url, history.store, READ_MODELS)
    with psycopg.connect(database_url, autocommit=True) as service:
        service.execute("DELETE FROM read_models.vps")
        for forbidden in ("DROP TABLE read_models.vps", "CREATE TABLE read_models.mine ()", "TRUNCATE read_models.vps"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(forbidden)


def test_tables_of_another_shape_ask_for_a_rebuild(owner_url: str) -> None:
    assert install(owner_url, READ_MODELS) == []
    wider = msgspec.structs.replace(BALANCES, sql=BALANCES.sql.replace("micros", "micro_usd"))
    refolded = msgspec.structs.replace(VPS, fold_version=VPS.fold_version + 1)
    assert install(owner_url, [wider, refolded]) == ["balances", "vps"]


async def _rebuild_often(owner_url: str, history: History, times: int) -> None:
    for _ in range(times):
        await rebuild(owner_url, history.store, READ_MODELS)


async def _lively_history(history: History) -> None:
    for number in range(20):
        account_id = await history.registered(micros=1_000_000, email=f"{number}@example.com")
        await history.given_roles(account_id, "support")
        await history.money_moved(account_id)
        vps_id = await history.vps_requested(account_id)
        await history.vps_running(account_id, vps_id)
        await history.minutes_metered(account_id, vps_id, 1, 1 + number)
        await history.alerted(account_id, vps_id)
        job_id = await history.job_requested(account_id, vps_id, "true")
        await history.job_finished(account_id, vps_id, job_id, exit_code=0)
    closed = AccountClosed(account_id, history.clock.now())
    await history.record(account_id, (account_stream(account_id), closed))


def _all_rows(owner_url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(owner_url) as owner:
        return {
            model.name: sorted(
                row
                for table in model.tables
                for row in owner.execute(f"SELECT t::text FROM read_models.{table} AS t".encode()).fetchall()
            )
            for model in READ_MODELS
        }
