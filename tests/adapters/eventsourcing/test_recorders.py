"""The eventsourcing library's own suites, unmodified, on our recorders: on PostgreSQL 18 and on Debian's 15."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests import persistence as suites
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from adapters.embedded_postgres.server import OWNER, SERVICE_ROLE, SUPERUSER, EmbeddedPostgres
from adapters.eventsourcing.recorders import LedgerAggregateRecorder, LedgerApplicationRecorder
from adapters.postgres.migrate import migrate
from tests.adapters.postgres.postgres_15 import postgres_15


@pytest.fixture(scope="module")
def older_server() -> Iterator[EmbeddedPostgres]:
    """Start Debian's PostgreSQL 15."""
    with postgres_15() as server:
        with psycopg.connect(server.url(SUPERUSER, "postgres")) as connection:
            assert connection.info.server_version // 10_000 == 15
        yield server


@pytest.fixture(autouse=True)
def ledger_of_the_case(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hand the library's test case a fresh ledger on the server it asks for."""
    with fresh_ledger(request.getfixturevalue(request.instance.server)) as request.instance.ledger:
        yield


@contextmanager
def fresh_ledger(server: EmbeddedPostgres) -> Iterator[PostgresDatastore]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
        database = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(OWNER)))
        try:
            migrate(server.url(OWNER, name), server.service_password)
            with datastore(server.url(SERVICE_ROLE, name)) as ledger:
                yield ledger
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def datastore(url: str) -> PostgresDatastore:
    parts = conninfo_to_dict(url)
    dbname, host, port, user, password = (str(parts[key]) for key in ("dbname", "host", "port", "user", "password"))
    return PostgresDatastore(dbname, host, port, user, password, pool_size=8, connect_timeout=30)


class TestAggregateRecorder(suites.AggregateRecorderTestCase):
    """Events of aggregates."""

    server = "postgres_server"
    ledger: PostgresDatastore

    def create_recorder(self) -> LedgerAggregateRecorder:
        return LedgerAggregateRecorder(self.ledger)


class TestApplicationRecorder(suites.ApplicationRecorderTestCase):
    """All events in order."""

    server = "postgres_server"
    ledger: PostgresDatastore

    def create_recorder(self) -> LedgerApplicationRecorder:
        return LedgerApplicationRecorder(self.ledger)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()

    def test_a_state_of_any_bytes_comes_back(self) -> None:
        recorder, aggregate = self.create_recorder(), uuid4()
        states = [b"", b"{}", b"\0", b"\xff\xfe", "é".encode(), b"base64:", b"base64:AAAA"]
        recorder.insert_events([StoredEvent(aggregate, version, "t", state) for version, state in enumerate(states)])
        assert [stored.state for stored in recorder.select_events(aggregate)] == states
        assert [stored.state for stored in recorder.select_notifications(None, 10)] == states


class TestNonInterleavingNotificationIds(suites.NonInterleavingNotificationIDsBaseCase):
    """Two appends at once do not mix."""

    server = "postgres_server"
    ledger: PostgresDatastore

    def create_recorder(self) -> LedgerApplicationRecorder:
        return LedgerApplicationRecorder(self.ledger)


class TestAggregateRecorderOn15(TestAggregateRecorder):
    """The same on Debian's PostgreSQL."""

    server = "older_server"


class TestApplicationRecorderOn15(TestApplicationRecorder):
    """The same on Debian's PostgreSQL."""

    server = "older_server"


class TestNonInterleavingNotificationIdsOn15(TestNonInterleavingNotificationIds):
    """The same on Debian's PostgreSQL."""

    server = "older_server"
