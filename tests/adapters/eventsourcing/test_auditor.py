"""An auditor opens the ledger with the library, by the page that shows how, as a role that can only read."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from uuid import UUID

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import NotSupportedError, PersistenceError, StoredEvent
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from adapters.eventsourcing.factory import LedgerFactory
from adapters.postgres.event_store import PostgresEventStore
from domain.events import stored_name
from domain.ids import AccountId
from domain.money import MicroUsd
from domain.wallet.events import WalletOpened
from domain.wallet.movements import Moving
from projections.balances import BALANCES, balances_of
from projections.catalogue import READ_MODELS
from projections.generation import SCHEMA
from projections.reading import ReadModels
from projections.runner import Runner
from tests.projections.conftest import running
from tests.projections.history import History

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "how-to" / "audit-with-eventsourcing.md").read_text()
AUDITOR, PASSWORD = "litevps_auditor", "choose-one"

pytestmark = pytest.mark.anyio


def on_the_page(language: str) -> str:
    """Return the one block of a language that the page shows."""
    [block] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


@pytest.fixture
def auditor(superuser_url: str) -> Iterator[dict[str, str]]:
    """Make the role as the page says; give the variables that the library connects by."""
    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        superuser.execute(on_the_page("sql").encode())
        parts = conninfo_to_dict(superuser_url)
        try:
            yield {
                "POSTGRES_HOST": str(parts["host"]),
                "POSTGRES_PORT": str(parts["port"]),
                "POSTGRES_DBNAME": str(parts["dbname"]),
                "POSTGRES_USER": AUDITOR,
                "POSTGRES_PASSWORD": PASSWORD,
            }
        finally:
            role = sql.Identifier(AUDITOR)
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [AUDITOR])
            superuser.execute(sql.SQL("DROP OWNED BY {}").format(role))
            superuser.execute(sql.SQL("DROP ROLE {}").format(role))


async def lived_through(database_url: str) -> list[AccountId]:
    """Record what moves balances in every way that a history knows, for three accounts."""
    async with PostgresEventStore(database_url) as store:
        history = History(store)
        ada, grace, hedy = [
            await history.registered(micros, email=f"{name}@example.com")
            for name, micros in (("ada", 5_000_000), ("grace", 70_000), ("hedy", 0))
        ]
        for account_id in (ada, grace):
            vps_id = await history.vps_requested(account_id)
            await history.vps_running(account_id, vps_id)
            for minute in range(1, 61):
                await history.minutes_metered(account_id, vps_id, minute, minute)
        await history.money_moved(ada)
        await history.key_added(hedy, "a laptop of hers")
    return [ada, grace, hedy]


async def balances_by_our_own(database_url: str, accounts: list[AccountId]) -> dict[AccountId, MicroUsd]:
    """Return the balances that the service's read model has."""
    read_models = ReadModels(database_url)
    await read_models.open()
    async with (
        PostgresEventStore(database_url) as store,
        running(Runner(store, database_url, READ_MODELS, schema=SCHEMA, moved=read_models.moved)),
        read_models.at(await store.head(), BALANCES) as connection,
    ):
        balances = await balances_of(connection, accounts)
    await read_models.close()
    return balances


async def test_the_page_adds_up_the_balances_that_we_tell(database_url: str, auditor: dict[str, str]) -> None:
    accounts = await lived_through(database_url)

    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error::DeprecationWarning",
        "-c",
        on_the_page("python"),
        cwd=ROOT,
        env=os.environ | auditor,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        printed, _ = await program.communicate()

    assert program.returncode == 0
    added_up = {
        AccountId(UUID(account_id)): int(micros) for account_id, micros in map(str.split, printed.decode().splitlines())
    }
    ours = await balances_by_our_own(database_url, accounts)
    assert set(ours) == set(accounts)
    assert len(added_up) == 2, "nothing ever moved the third one's balance"
    assert {account_id: added_up.get(account_id, 0) for account_id in ours} == ours
    assert len(set(ours.values())) == 3


def test_the_page_knows_every_event_that_moves_a_balance() -> None:
    told = set(re.findall(r'"(wallet\.[a-z0-9.-]+)":', on_the_page("python")))

    assert told == {stored_name(kind) for kind in get_args(Moving)} - {stored_name(WalletOpened)}


async def test_what_is_personal_stays_sealed(database_url: str, auditor: dict[str, str]) -> None:
    await lived_through(database_url)

    with LedgerFactory(auditor) as factory:
        recorder = factory.application_recorder()
        read = {stored.topic: stored.state for stored in recorder.select_notifications(None, 10_000)}

    assert b'"email":"s1.' in read["accounts.account-registered.v1"]
    assert b'"name":"s1.' in read["accounts.ssh-key-added.v1"]
    assert not [state for state in read.values() if b"example.com" in state or b"laptop" in state]


@pytest.mark.parametrize(
    "attempt",
    [
        "SELECT ledger.sweep_claims(1)",
        f"SELECT ledger.append(true, {', '.join(['NULL'] * 20)})",
        "INSERT INTO ledger.event SELECT * FROM ledger.event",
        "SELECT * FROM ledger.claim",
        "SELECT * FROM sealing.account_key",
        "SELECT * FROM work.blob",
    ],
)
def test_the_role_can_do_nothing_but_read_events(superuser_url: str, auditor: dict[str, str], attempt: str) -> None:
    with psycopg.connect(superuser_url, user=AUDITOR, password=PASSWORD, autocommit=True) as connection:
        connection.execute("SELECT count(*) FROM ledger.event")
        connection.execute("SET default_transaction_read_only = off")  # Anybody may; the rights are what holds.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(attempt.encode())


async def test_an_application_of_the_library_can_neither_record_nor_keep_a_place(
    database_url: str, auditor: dict[str, str]
) -> None:
    [ada, *_] = await lived_through(database_url)
    app = Application[UUID](auditor | {"PERSISTENCE_MODULE": "adapters.eventsourcing.factory"})
    try:
        event, *_ = app.events.get(ada)
        with pytest.raises(NotSupportedError):
            app.events.put([event])
        with pytest.raises(PersistenceError):
            app.recorder.insert_events([StoredEvent(ada, 99, "wallet.funds-credited.v1", b"{}")])
        with pytest.raises(NotSupportedError):
            app.factory.tracking_recorder()
        with pytest.raises(NotSupportedError):
            app.factory.process_recorder()
        with pytest.raises(NotSupportedError):
            app.factory.aggregate_recorder("snapshots")
    finally:
        app.close()
