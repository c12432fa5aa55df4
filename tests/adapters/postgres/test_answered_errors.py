"""Errors that PostgreSQL answers: told as what they are, to whoever asked for it and to nobody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.pooled_connection import pooled_connection
from adapters.postgres import group_writer, read_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.prepared import PreparedQuery
from adapters.postgres.read_pool import ReadPool
from adapters.sealing.key_tables import PostgresKeyTable
from domain.ids import AccountId
from domain.ports import Append, Appended, StoreFailed, StoreUnable, StoreUnavailable, TooLargeToStore
from domain.store_failures import store_failure
from tests.contracts.event_stores import event, feed, new_stream

pytestmark = pytest.mark.anyio

DISK_FULL, TOO_MANY_CONNECTIONS, OUT_OF_MEMORY = "53100", "53300", "53200"
LOCKED, CANCELLED, READ_ONLY, DISK_BROKEN = "55P03", "57014", "25006", "58030"
SERIALIZATION, DEADLOCK = "40001", "40P01"
UNABLE = (DISK_FULL, TOO_MANY_CONNECTIONS, OUT_OF_MEMORY, LOCKED, CANCELLED, READ_ONLY, DISK_BROKEN)
IN_THE_WAY = (SERIALIZATION, DEADLOCK)
TOO_LARGE = ("54000", "54001", "54023")
AWAY = ("08000", "08006", "57P01", "57P02", "57P03")
OURS = ("22023", "23514", "42501", "XX000")
EXPECTED: dict[str, type[Exception]] = {
    **dict.fromkeys((*UNABLE, *IN_THE_WAY), StoreUnable),
    **dict.fromkeys(TOO_LARGE, TooLargeToStore),
    **dict.fromkeys(AWAY, StoreUnavailable),
    **dict.fromkeys(OURS, psycopg.Error),
}
_POISONED = """
    CREATE FUNCTION public.refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.payload LIKE '%raise %' THEN
            RAISE EXCEPTION 'poison' USING ERRCODE = substring(NEW.payload FROM 'raise (.....)');
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse_poison BEFORE INSERT ON ledger.event
        FOR EACH ROW EXECUTE FUNCTION public.refuse_poison();
    CREATE FUNCTION public.raise_error(state text) RETURNS integer LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
_FULL = """
    CREATE FUNCTION public.refuse_all() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
    CREATE TRIGGER refuse_all BEFORE INSERT ON ledger.event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_all();
"""


@pytest.fixture
def database(superuser_url: str) -> Iterator[psycopg.Connection]:
    """Give a database in which an event raises whatever its payload says, to its superuser."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(_POISONED)
        yield connection


@pytest.fixture
async def store(database: psycopg.Connection, database_url: str) -> AsyncIterator[PostgresEventStore]:
    async with PostgresEventStore(database_url) as store:
        await store.append(Append((event(new_stream(), 1),)))
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait long for a database that is away."""
    monkeypatch.setattr(group_writer, "OUTAGE_MAX_S", 0.3)
    monkeypatch.setattr(read_pool, "OUTAGE_MAX_S", 0.3)


async def at_once(store: PostgresEventStore, payloads: list[str]) -> list[Appended | BaseException]:
    """Append one event of each payload, all in one transaction, and return the answers."""
    first = asyncio.create_task(store.append(Append((event(new_stream(), 1),))))
    await asyncio.sleep(0)  # The others gather behind it.
    appends = [store.append(Append((event(new_stream(), 1, payload),))) for payload in payloads]
    answers = await asyncio.gather(*appends, return_exceptions=True)
    await first
    return answers


@pytest.mark.parametrize("sqlstate", [*UNABLE, *IN_THE_WAY, *TOO_LARGE, *OURS])
async def test_what_one_request_brings_about_is_told_to_it_and_the_others_are_recorded(
    store: PostgresEventStore, sqlstate: str
) -> None:
    payloads = [f'"fine {number}"' for number in range(20)]
    payloads[7] = f'"raise {sqlstate}"'

    answers = await at_once(store, payloads)

    assert isinstance(answers[7], EXPECTED[sqlstate]), answers[7]
    assert all(isinstance(answer, Appended) for number, answer in enumerate(answers) if number != 7)
    assert [one.position for one in await feed(store)] == list(range(1, 22))
    assert isinstance(await store.append(Append((event(new_stream(), 1),))), Appended), "the writer goes on"


async def test_two_that_are_too_large_are_told_so_and_the_others_are_recorded(store: PostgresEventStore) -> None:
    payloads = [f'"fine {number}"' for number in range(20)]
    payloads[3] = payloads[16] = '"raise 54000"'

    answers = await at_once(store, payloads)

    assert [number for number, answer in enumerate(answers) if isinstance(answer, TooLargeToStore)] == [3, 16]
    assert sum(isinstance(answer, Appended) for answer in answers) == 18


async def test_a_full_disk_is_told_to_all_at_once_and_the_writer_goes_on_when_there_is_room(
    store: PostgresEventStore, database: psycopg.Connection
) -> None:
    database.execute(_FULL)
    waiting = [asyncio.create_task(store.append(Append((event(new_stream(), 1),)))) for _ in range(400)]
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, StoreUnable) for answer in answers), set(map(type, answers))

    database.execute("DROP TRIGGER refuse_all ON ledger.event")

    assert (await store.append(Append((event(new_stream(), 1),)))).last_position == 2


@pytest.mark.parametrize("sqlstate", AWAY)
async def test_a_database_that_says_it_is_not_there_is_away(
    store: PostgresEventStore, sqlstate: str, impatient: None
) -> None:
    with pytest.raises(StoreUnavailable):
        await store.append(Append((event(new_stream(), 1, f'"raise {sqlstate}"'),)))
    assert isinstance(await store.append(Append((event(new_stream(), 1),))), Appended), "the writer goes on"


async def test_a_database_that_may_only_be_read_is_unable(
    store: PostgresEventStore, database: psycopg.Connection, database_url: str
) -> None:
    database.execute("ALTER ROLE litevps_service SET default_transaction_read_only = on")
    try:
        async with PostgresEventStore(database_url) as read_only:
            with pytest.raises(StoreUnable):
                await read_only.append(Append((event(new_stream(), 1),)))
            assert len(await read_only.read_feed(0, 10)) == 1
    finally:
        database.execute("ALTER ROLE litevps_service RESET default_transaction_read_only")


@pytest.mark.parametrize(("sqlstate", "expected"), EXPECTED.items())
async def test_readers_tell_it_in_the_same_words(
    database: psycopg.Connection, database_url: str, sqlstate: str, expected: type[Exception], impatient: None
) -> None:
    pool = ReadPool(database_url)
    with pytest.raises(expected) as port_error_of:
        await pool.run(PreparedQuery("raise", "SELECT public.raise_error($1)"), [sqlstate.encode()])
    assert isinstance(port_error_of.value, StoreFailed) == (expected is not psycopg.Error)
    assert (await pool.run(PreparedQuery("one", "SELECT 1"), [])).ntuples == 1, "the pool goes on"
    await pool.close()

    async with AsyncConnectionPool(database_url, min_size=1, kwargs={"autocommit": True}) as connections:
        with pytest.raises(expected):
            async with pooled_connection(connections) as connection:
                await connection.execute("SELECT public.raise_error(%s)", [sqlstate])
        async with pooled_connection(connections) as connection:
            await connection.execute("SELECT 1")


async def test_the_table_of_keys_tells_it_in_the_same_words(database: psycopg.Connection, database_url: str) -> None:
    database.execute("ALTER TABLE sealing.account_key RENAME TO elsewhere")
    database.execute(
        "CREATE VIEW sealing.account_key AS SELECT '00000000-0000-0000-0000-000000000000'::uuid AS account_id,"
        " public.raise_error('53200')::text::bytea AS wrapped"
    )
    database.execute("GRANT SELECT ON sealing.account_key TO litevps_service")
    async with AsyncConnectionPool(database_url, min_size=1, kwargs={"autocommit": True}) as connections:
        with pytest.raises(StoreUnable):
            await PostgresKeyTable(connections).read([AccountId(UUID(int=0))])


async def test_what_a_connection_did_not_outlive_is_told_as_the_store_being_away() -> None:
    assert isinstance(store_failure(None, "gone", is_connected=False), StoreUnavailable)
    assert isinstance(store_failure("25P03", "idle for too long", is_connected=False), StoreUnavailable)
    assert store_failure(None, "a NUL character", is_connected=True) is None
