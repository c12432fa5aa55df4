"""Tests of what each read model answers."""

import json

import psycopg
import pytest

from domain.books.chart import prepaid, revenue
from domain.compute.events import OF_VPS
from domain.events import Event, all_events, personal_fields
from domain.ids import AccountId, vps_stream
from domain.sealed import SealBroken
from projections.accounts import ACCOUNTS, list_accounts
from projections.balances import BALANCES, balances_of
from projections.compute_work import COMPUTE_WORK
from projections.generation import SCHEMA
from projections.jobs import JOBS, jobs_of_vps
from projections.reading import ReadModels
from projections.runner import Folding, connect
from projections.totals import TOTALS, totals, trial_balance
from projections.vps import VPS, count_of, vpss_after, vpss_by_ids, vpss_of
from tests.made_up import made_up
from tests.projections.history import PLAN, History
from tests.sealed_text import opened

pytestmark = pytest.mark.anyio

SEALED = "s1."
"""What every sealed text begins with."""
PERSONAL_OF_A_VPS = [
    kind for name, kind in sorted(all_events().items()) if name.startswith(OF_VPS) and personal_fields(kind)
]


async def test_vpss_are_listed_newest_first_with_their_number(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    names = ["web-01", "web-02", "web-03"]
    made = [await history.vps_requested(ada, name) for name in names]
    async with followed.at(await history.store.head(), VPS) as connection:
        page, count = await vpss_of(connection, ada, limit=2), await count_of(connection, ada)
    assert [row.vps.vps_id for row in page] == [made[2], made[1]]
    assert [opened(history.sealer, row.vps.name) for row in page] == ["web-03", "web-02"]
    assert count == 3


async def test_vpss_are_listed_from_a_place_on_in_either_direction(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    made = [await history.vps_requested(ada) for _ in range(5)]
    async with followed.at(await history.store.head(), VPS) as connection:
        places = {row.vps.vps_id: row.position for row in await vpss_of(connection, ada, limit=9)}
        before = await vpss_of(connection, ada, limit=2, before=places[made[3]])
        after = await vpss_after(connection, ada, limit=2, after=places[made[1]])
    assert [row.vps.vps_id for row in before] == [made[2], made[1]]
    assert [row.vps.vps_id for row in after] == [made[2], made[3]]


@pytest.mark.parametrize("column", ["folded", "sealed_in"])
async def test_a_name_that_was_put_into_another_row_is_not_shown(
    history: History, followed: ReadModels, owner_url: str, column: str
) -> None:
    ada = await history.registered()
    made = [await history.vps_requested(ada, f"web-{n:02}") for n in (1, 2)]
    async with followed.at(await history.store.head(), VPS) as connection:
        [second, first] = await vpss_of(connection, ada, limit=9)
    assert [row.opened(ada, history.sealer).name for row in (first, second)] == ["web-01", "web-02"]
    with psycopg.connect(owner_url, autocommit=True) as owner:
        moved = f"UPDATE {SCHEMA}.vps SET {column} = (SELECT {column} FROM {SCHEMA}.vps WHERE id = %s) WHERE id = %s"
        owner.execute(moved.encode(), made)
    async with followed.at(await history.store.head(), VPS) as connection:
        [tampered] = (await vpss_by_ids(connection, ada, made[1:])).values()
    with pytest.raises(SealBroken):
        tampered.opened(ada, history.sealer)


async def test_what_is_anothers_is_not_opened_for_whoever_asks(history: History, followed: ReadModels) -> None:
    ada, bob = await history.registered(), await history.registered(email="bob@example.com")
    await history.vps_requested(ada)
    async with followed.at(await history.store.head(), VPS) as connection:
        [row] = await vpss_of(connection, ada, limit=9)
    with pytest.raises(SealBroken):
        row.opened(bob, history.sealer)


async def test_vpss_are_filtered_by_state_as_their_events_fold(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    runs, creating = await history.vps_requested(ada), await history.vps_requested(ada)
    await history.vps_running(ada, runs)
    async with followed.at(await history.store.head(), VPS) as connection:
        running = await vpss_of(connection, ada, state="running", limit=9)
        running_count = await count_of(connection, ada, "running")
        rest = await vpss_of(connection, ada, state="creating", limit=9)
    assert [row.vps.vps_id for row in running] == [runs]
    assert running[0].vps.ssh_port == 22_000
    assert running_count == 1
    assert [row.vps.vps_id for row in rest] == [creating]


async def test_a_vps_that_is_to_go_is_gone_for_its_owner(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    await history.vps_delete_requested(ada, await history.vps_requested(ada))
    async with followed.at(await history.store.head(), VPS) as connection:
        assert await vpss_of(connection, ada, limit=9) == []
        assert await count_of(connection, ada) == 0


async def test_another_account_sees_nothing_of_a_vps(history: History, followed: ReadModels) -> None:
    await history.vps_requested(await history.registered())
    bob = await history.registered(email="bob@example.com")
    async with followed.at(await history.store.head(), VPS) as connection:
        assert await vpss_of(connection, bob, limit=9) == []
        assert await count_of(connection, bob) == 0


async def test_a_balance_is_what_came_in_less_what_minutes_cost(history: History, followed: ReadModels) -> None:
    ada = await history.registered(micros=1_000_000)
    vps_id = await history.vps_requested(ada)
    await history.vps_running(ada, vps_id)
    await followed.caught_up(await history.store.head(), BALANCES)
    first = await history.minutes_metered(ada, vps_id, 1, 1)
    await followed.caught_up(await history.store.head(), BALANCES)
    await history.minutes_metered(ada, vps_id, 2, 60)
    async with followed.at(await history.store.head(), BALANCES) as connection:
        assert await balances_of(connection, [ada]) == {ada: 1_000_000 - 4_200}
    assert first == 70


async def test_totals_of_postings_mirror_the_balances_and_sum_to_zero(history: History, followed: ReadModels) -> None:
    ada = await history.registered(micros=1_000_000)
    vps_id = await history.vps_requested(ada)
    await history.vps_running(ada, vps_id)
    await followed.caught_up(await history.store.head(), TOTALS)
    await history.minutes_metered(ada, vps_id, 1, 60)
    async with followed.at(await history.store.head(), TOTALS, BALANCES) as connection:
        balances = await balances_of(connection, [ada])
        assert await totals(connection, prepaid(ada)) == {prepaid(ada): -balances[ada]}
        assert await totals(connection, "revenue:") == {revenue(PLAN): -4_200}
        assert await trial_balance(connection) == 0


async def test_a_job_tells_who_asked_and_how_it_ended(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    vps_id = await history.vps_requested(ada)
    job_id = await history.job_requested(ada, vps_id, "uname -a")
    async with followed.at(await history.store.head(), JOBS) as connection:
        [job], _ = await jobs_of_vps(connection, vps_id, 20, 0)
    assert (job.id, job.status, job.exit_code) == (job_id, "running", None)
    await history.job_finished(ada, vps_id, job_id, exit_code=3)
    async with followed.at(await history.store.head(), JOBS) as connection:
        [job], count = await jobs_of_vps(connection, vps_id, 20, 0)
    assert (job.status, job.exit_code, job.duration_ms, count) == ("done", 3, 142, 1)
    assert (job.actor_kind, job.actor_id) == ("account", ada)
    assert opened(history.sealer, job.command or "") == "uname -a"
    assert opened(history.sealer, job.address or "") == "192.0.2.7"


async def test_a_job_that_has_ended_before_it_is_looked_at_is_told_alike(
    history: History, read_models: ReadModels, database_url: str
) -> None:
    ada = await history.registered()
    vps_id = await history.vps_requested(ada)
    await history.job_finished(ada, vps_id, await history.job_requested(ada, vps_id, "true"), exit_code=0)
    running = await history.job_requested(ada, vps_id, "sleep 9")
    async with await connect(database_url, SCHEMA) as connection:
        folding = Folding(connection, history.store, [JOBS])
        await folding.find_positions()
        await folding.advance()
        jobs, _ = await jobs_of_vps(connection, vps_id, 20, 0)
    assert [(job.status, job.exit_code) for job in jobs] == [("running", None), ("done", 0)]
    assert jobs[0].id == running


async def test_accounts_are_listed_with_their_roles(history: History, followed: ReadModels) -> None:
    ada = await history.registered()
    bob = await history.registered(email="bob@example.com")
    await history.given_roles(ada, "admin", "finance")
    async with followed.at(await history.store.head(), ACCOUNTS) as connection:
        rows, count = await list_accounts(connection, 20, 0)
    told = [(row.id, opened(history.sealer, row.email), row.roles) for row in rows]
    assert told == [(bob, "bob@example.com", ()), (ada, "ada@example.com", ("admin", "finance"))]
    assert count == 2


async def test_no_read_model_holds_personal_text_in_the_clear(
    history: History, followed: ReadModels, database_name: str
) -> None:
    ada: AccountId = await history.registered(micros=500, email="secret-address")
    vps_id = await history.vps_requested(ada, "secret-name")
    await history.job_requested(ada, vps_id, "secret-command")
    async with followed.at(await history.store.head(), VPS, ACCOUNTS, JOBS) as connection:
        cursor = await connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'read_models'")
        tables = [name for (name,) in await cursor.fetchall()]
        for table in tables:
            everything = await connection.execute(f"SELECT t::text FROM {table} AS t".encode())
            assert not [row for row in await everything.fetchall() if "secret" in row[0]]
    assert {"vps", "account", "job"} <= set(tables)


@pytest.mark.parametrize("kind", PERSONAL_OF_A_VPS, ids=lambda kind: kind.__name__)
async def test_what_is_personal_of_a_vps_says_where_it_was_sealed_or_is_left_out(
    history: History, followed: ReadModels, owner_url: str, kind: type[Event]
) -> None:
    ada = await history.registered()
    vps_id = await history.vps_requested(ada)
    await history.record(ada, (vps_stream(vps_id), made_up(kind, "secret")))
    await followed.caught_up(await history.store.head(), VPS, COMPUTE_WORK)

    with psycopg.connect(owner_url) as owner:
        [(folded, sealed_in)] = owner.execute(f"SELECT folded, sealed_in FROM {SCHEMA}.vps".encode()).fetchall()
        [(work,)] = owner.execute(f"SELECT folded FROM {SCHEMA}.compute_work".encode()).fetchall()
    # Whatever else of it is sealed could never be opened, and would be told as it is.
    kept = {name for name, value in json.loads(folded).items() if SEALED in json.dumps(value)}
    assert kept == set(json.loads(sealed_in))
    assert SEALED not in work
