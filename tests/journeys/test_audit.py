"""Journeys of an auditor: a sound ledger is found sound, and each kind of damage is found and told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.blobs import PostgresBlobs
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from api.application.audit.findings import Report
from api.application.audit.verify import verify
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.reading import ReadModels
from projections.runner import Runner
from tests.projections.conftest import running
from tests.projections.history import History

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresEventStore]:
    """Give the event store with a small history in it, and every read model up with it."""
    async with (
        PostgresEventStore(database_url) as store,
        AsyncConnectionPool(database_url, min_size=1, max_size=1, open=False, kwargs={"autocommit": True}) as pool,
    ):
        history = History(store, blobs=PostgresBlobs(pool))
        for micros in (1_000_000, 2_000_000):
            account_id = await history.registered(micros)
            vps_id = await history.vps_requested(account_id)
            await history.vps_running(account_id, vps_id)
            await history.minutes_metered(account_id, vps_id, 1, 1)
            await history.minutes_metered(account_id, vps_id, 2, 5)
            await history.key_added(account_id, "laptop")
            job_id = await history.job_requested(account_id, vps_id, "cat", stdin="a secret")
            await history.job_finished(account_id, vps_id, job_id, exit_code=0)
        await history.money_moved(account_id)
        reading = ReadModels(database_url)
        await reading.open()
        async with running(Runner(store, database_url, READ_MODELS, schema=SCHEMA)):
            await reading.caught_up(await store.head(), *READ_MODELS)
        await reading.close()
        yield store


async def audited(store: PostgresEventStore, database_url: str) -> Report:
    """Return the report of an audit."""
    return await verify(store, PostgresEvidence(database_url), database_url, READ_MODELS)


def faults(report: Report) -> dict[str, list[str]]:
    """Return what was found by promise, those that hold left out."""
    return {check.promise: check.findings for check in report.checks if check.faults}


@contextmanager
def tampering(superuser_url: str) -> Iterator[psycopg.Connection]:
    """Give a superuser who has switched the trigger off, and puts it back on after."""
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute("ALTER TABLE ledger.event DISABLE TRIGGER event_never_updated_or_deleted")
        yield superuser
        superuser.execute("ALTER TABLE ledger.event ENABLE ALWAYS TRIGGER event_never_updated_or_deleted")


async def test_a_sound_ledger_is_found_sound(store: PostgresEventStore, database_url: str) -> None:
    report = await audited(store, database_url)
    assert faults(report) == {}
    assert report.ok
    assert report.position == await store.head()
    assert all(check.seen for check in report.checks)


async def test_an_empty_ledger_is_sound(database_url: str) -> None:
    async with PostgresEventStore(database_url) as store:
        assert (await audited(store, database_url)).ok


async def test_an_audit_of_a_ledger_that_is_being_written_finds_it_sound(
    store: PostgresEventStore, database_url: str
) -> None:
    history = History(store)
    async with running(Runner(store, database_url, READ_MODELS, schema=SCHEMA)):
        for _ in range(5):
            await history.registered(micros=500)
            assert faults(await audited(store, database_url)) == {}


DAMAGES = {
    "an amount in an event": (
        "UPDATE ledger.event SET payload = replace(payload, '1000000', '9000000') WHERE position = 3",
        "every leaf hash is that of its event",
        "position 3: the event is not the one that was hashed",
    ),
    "who acted": (
        "UPDATE ledger.event SET metadata = replace(metadata, 'account', 'operator') WHERE position = 3",
        "every leaf hash is that of its event",
        "position 3: the event is not the one that was hashed",
    ),
    "a leaf hash": (
        "UPDATE ledger.event SET leaf_hash = sha256('x') WHERE position = 7",
        "every leaf hash is that of its event",
        "position 7: the event is not the one that was hashed",
    ),
    "an event taken out": (
        "DELETE FROM ledger.event WHERE position = 7",
        "positions are 1, 2, 3 … without a gap",
        "position 6 is followed by 8",
    ),
    "the last event taken out": (
        "DELETE FROM ledger.event WHERE position = (SELECT position FROM ledger.head)",
        "positions are 1, 2, 3 … without a gap",
        "but 39 were counted",
    ),
    "an event of a stream moved": (
        "UPDATE ledger.event SET version = version + 5 WHERE position = 3",
        "the versions of every stream are 1, 2, 3 … without a gap",
        "position 3: version 7",
    ),
    "a stream's head": (
        "UPDATE ledger.stream_head SET version = version + 1",
        "the versions of every stream are 1, 2, 3 … without a gap",
        "is kept as such",
    ),
    "a time": (
        "UPDATE ledger.event SET recorded_at = 5 WHERE position = 7",
        "recorded time never runs backwards along the positions",
        "position 7 was recorded before the one below it",
    ),
    "what nobody can read": (
        "UPDATE ledger.event SET payload = '{}' WHERE position = 3",
        "every event can be read",
        "position 3: wallet.funds-credited.v1 cannot be read",
    ),
    "what was sealed in another field": (
        "UPDATE ledger.event SET payload = replace(payload, '.reason.', '.name.') WHERE position = 3",
        "what is personal is sealed for its own account, event and field",
        "position 3: reason was sealed for another place",
    ),
    "what was sealed for another event": (
        """UPDATE ledger.event SET metadata = jsonb_set(metadata::jsonb, '{address}', (
               SELECT metadata::jsonb -> 'address' FROM ledger.event WHERE position = 1
           ))::text WHERE position = 3""",
        "what is personal is sealed for its own account, event and field",
        "position 3: address was sealed for another place",
    ),
    "a text beside an event": (
        "UPDATE work.blob SET sealed = sealed || 'A'",
        "every text that is kept beside an event is the one that it tells of",
        "stdin is kept as another",
    ),
    "a text beside an event, given to another account": (
        "UPDATE work.blob SET account_id = gen_random_uuid()",
        "every text that is kept beside an event is the one that it tells of",
        "stdin is kept as another, or for another account",
    ),
    "a text beside an event taken out": (
        "DELETE FROM work.blob",
        "every text that is kept beside an event is the one that it tells of",
        "stdin is not kept",
    ),
    "a minute used twice": (
        """UPDATE ledger.event SET payload = replace(payload, ',2,5,', ',1,5,')
           WHERE type = 'wallet.minutes-metered.v1'""",
        "every minute of a VPS was used once, in order, at its price",
        "come after 1",
    ),
    "a price": (
        """UPDATE ledger.event SET payload = replace(payload, '4200,70]', '4200,69]')
           WHERE type = 'wallet.minutes-metered.v1'""",
        "every minute of a VPS was used once, in order, at its price",
        "69 micro-USD is not the price of its minutes",
    ),
    "a minute's head": (
        "UPDATE ledger.minute_head SET n = n - 1",
        "every minute of a VPS was used once, in order, at its price",
        "its last used minute is 5, but 4 is kept as such",
    ),
    "a balance below zero": (
        "UPDATE ledger.event SET payload = replace(payload, '1000000', '100') WHERE position = 3",
        "no minute was ever paid that the balance did not cover",
        "the balance falls to -250 micro-USD",
    ),
    "an address that nobody holds": (
        "DELETE FROM ledger.claim",
        "every open account holds one e-mail address, and nobody else holds any",
        "holds 0 addresses",
    ),
    "an address held by nobody we know": (
        "UPDATE ledger.claim SET holder = gen_random_uuid()",
        "every open account holds one e-mail address, and nobody else holds any",
        "and is no account",
    ),
    "a row of a read model": (
        "UPDATE read_models.balance SET micros = micros + 1",
        "every read model is what the events fold into",
        "balances: 4 rows of balance differ",
    ),
    "a row missing in a read model": (
        "DELETE FROM read_models.job WHERE position = (SELECT min(position) FROM read_models.job)",
        "every read model is what the events fold into",
        "jobs: 1 rows of job differ",
    ),
    "a read model that stopped": (
        "UPDATE read_models.projection SET failed_at = 3, failure = 'KeyError at x' WHERE name = 'vps'",
        "every read model is what the events fold into",
        "vps: stopped at position 3: KeyError at x",
    ),
}


@pytest.mark.parametrize(("damage", "promise", "finding"), DAMAGES.values(), ids=DAMAGES.keys())
async def test_damage_is_found(
    store: PostgresEventStore,
    database_url: str,
    superuser_url: str,
    damage: str,
    promise: str,
    finding: str,
) -> None:
    with tampering(superuser_url) as superuser:
        assert superuser.execute(damage.encode()).rowcount > 0
    report = await audited(store, database_url)
    assert not report.ok
    assert finding in " ".join(faults(report)[promise])


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (
            "ALTER TABLE ledger.event DISABLE TRIGGER event_never_updated_or_deleted",
            "the trigger that refuses UPDATE and DELETE on events is not in force",
        ),
        (
            "ALTER TABLE ledger.event ENABLE TRIGGER event_never_truncated",
            "the trigger that refuses TRUNCATE on events is not in force",
        ),
        ("GRANT INSERT ON ledger.event TO litevps_service", "the service's role may INSERT events"),
        (
            "ALTER TABLE ledger.snapshot OWNER TO litevps_service",
            "the service's role owns ledger.snapshot",
        ),
    ],
)
async def test_a_guard_that_is_off_is_found(
    store: PostgresEventStore, database_url: str, superuser_url: str, damage: str, finding: str
) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(damage.encode())
    report = await audited(store, database_url)
    assert faults(report) == {"the database refuses to change events": [finding]}


async def test_many_faults_are_counted_and_a_few_told(
    store: PostgresEventStore, database_url: str, superuser_url: str
) -> None:
    with tampering(superuser_url) as superuser:
        superuser.execute("UPDATE ledger.event SET metadata = metadata || ' '")
    report = await audited(store, database_url)
    [check] = [check for check in report.checks if check.faults]
    assert check.faults == await store.head()
    assert len(check.findings) == 10
