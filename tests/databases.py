"""Databases for tests: each a fresh copy of one that is migrated, with the server's clock or one that a test moves."""

import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from adapters.embedded_postgres.server import OWNER, SERVICE_ROLE, SUPERUSER, EmbeddedPostgres
from adapters.postgres.migrate import migrate
from adapters.simulated.clock import ManualClock
from domain.time import Instant
from projections.catalogue import READ_MODELS
from projections.generation import install

CLOCK_SCHEMA = "manual_clock"
_TEMPLATE = "migrated_template"
_CLOCKED_TEMPLATE = "clocked_template"
_USED_KEPT = 2
"""How many databases are dropped only later: the server waits 100 ms for connections that have just been closed."""

# A name that a query does not qualify is looked for in the schemas of the search path in their order: with this one
# before PostgreSQL's own, what asks for the time is told what the test says. Nothing of the product is another.
_CLOCK = f"""
CREATE SCHEMA {CLOCK_SCHEMA};
CREATE TABLE {CLOCK_SCHEMA}.instant (at bigint NOT NULL);
INSERT INTO {CLOCK_SCHEMA}.instant (at) VALUES (0);
CREATE FUNCTION {CLOCK_SCHEMA}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT timestamptz 'epoch' + at * interval '1 microsecond' FROM {CLOCK_SCHEMA}.instant $$;
CREATE FUNCTION {CLOCK_SCHEMA}.statement_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT {CLOCK_SCHEMA}.clock_timestamp() $$;
GRANT USAGE ON SCHEMA {CLOCK_SCHEMA} TO PUBLIC;
GRANT SELECT, UPDATE ON {CLOCK_SCHEMA}.instant TO PUBLIC;
ALTER TABLE work.blob ALTER kept_at SET DEFAULT {CLOCK_SCHEMA}.clock_timestamp();
DO $$ BEGIN EXECUTE 'ALTER FUNCTION ' || 'ledger.append'::regproc::regprocedure
    || ' SET search_path = {CLOCK_SCHEMA}, pg_catalog, pg_temp'; END $$;
"""


class Databases:
    """The databases of one server, all copied from one that is migrated."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        """Make the one that others are copied from."""
        self.server = server
        self._has_clocked = False
        self._used: deque[str] = deque()
        self._lock = Lock()
        self._connection = psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True)
        self.create(_TEMPLATE)
        migrate(server.url(OWNER, _TEMPLATE), server.service_password)
        install(server.url(OWNER, _TEMPLATE), READ_MODELS)

    def close(self) -> None:
        """Let the server go; what is in it goes with its folder."""
        self._connection.close()

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Give the name of a migrated database, dropped some time afterwards."""
        with self._copied(_TEMPLATE) as name:
            yield name

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Give the name of a database that no migration has seen, dropped some time afterwards."""
        with self._copied("template1") as name:
            yield name

    @contextmanager
    def clocked(self, clock: ManualClock) -> Iterator[str]:
        """Give the name of a migrated database in which it is as late as a clock says, dropped some time afterwards."""
        self._ensure_clocked_template()
        with (
            self._copied(_CLOCKED_TEMPLATE) as name,
            psycopg.connect(self.server.url(SUPERUSER, name), autocommit=True) as connection,
        ):
            self._connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = {}, pg_catalog, public").format(
                    *map(sql.Identifier, (SERVICE_ROLE, name, CLOCK_SCHEMA))
                )
            )

            def moved(now: Instant) -> None:
                connection.execute(f"UPDATE {CLOCK_SCHEMA}.instant SET at = %s", [now])

            with clock.told(moved):
                yield name

    @contextmanager
    def superuser(self, database_url: str) -> Iterator[psycopg.Connection]:
        """Give a connection to a database of this server that may do everything but change the ledger."""
        name = conninfo_to_dict(database_url)["dbname"]
        with psycopg.connect(self.server.url(SUPERUSER, str(name)), autocommit=True) as connection:
            yield connection

    def create(self, name: str, template: str = "template1") -> None:
        """Copy a database. By files: 8 ms where writing it to the log takes 61."""
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY")
        self._connection.execute(create.format(*map(sql.Identifier, (name, OWNER, template))))

    @contextmanager
    def _copied(self, template: str) -> Iterator[str]:
        with self._lock:
            dropped = [self._used.popleft() for _ in range(len(self._used) - _USED_KEPT)]
        for one in dropped:
            self._connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(one)))
        name = f"test_{secrets.token_hex(6)}"
        self.create(name, template)
        try:
            yield name
        finally:
            self._used.append(name)

    def _ensure_clocked_template(self) -> None:
        with self._lock:
            if not self._has_clocked:
                self.create(_CLOCKED_TEMPLATE, _TEMPLATE)
                with psycopg.connect(self.server.url(SUPERUSER, _CLOCKED_TEMPLATE), autocommit=True) as connection:
                    connection.execute(_CLOCK.encode())
                self._has_clocked = True
