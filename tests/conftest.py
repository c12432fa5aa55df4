"""Fixtures that every test may ask for: a real PostgreSQL, and a fresh, migrated database in it."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from adapters.embedded_postgres.server import OWNER, SERVICE_ROLE, SUPERUSER, EmbeddedPostgres
from adapters.embedded_postgres.unprivileged import USER_NAME
from adapters.postgres.migrate import migrate
from projections.catalogue import READ_MODELS
from projections.generation import install

pytest_plugins = ["tests.guests"]

_TEMPLATE = "migrated_template"
# Databases are made and dropped for each test; what a power cut would take from them is of no interest.
_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# A deadline would measure the machine. `make long` looks for rarer cases, of each property so many as LITEVPS_LONG says
# where that is more than 1.
_TOLD_MAX = int(os.environ.get("LITEVPS_LONG") or 0)
settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None, max_examples=_TOLD_MAX if _TOLD_MAX > 1 else 2_000)
settings.load_profile("long" if "LITEVPS_LONG" in os.environ else "quick")


def pytest_configure() -> None:
    """Let SIGTERM end the session as Ctrl-C does, so that no server is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the real PostgreSQL."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker("database")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, and on it alone."""
    return "asyncio"


@pytest.fixture(scope="session")
def service_user() -> Iterator[None]:
    """Remove the system user afterwards if it was this session that made it."""
    there_before = _user_exists()
    yield
    if not there_before and _user_exists():
        # Refused while another session's server runs as this user; then that one goes on needing it.
        subprocess.run(["/usr/sbin/userdel", USER_NAME], capture_output=True, check=False)


@pytest.fixture(scope="session")
def postgres_server(service_user: None) -> Iterator[EmbeddedPostgres]:
    """Start an embedded PostgreSQL for the session, with one migrated database to copy from."""
    folder = Path(tempfile.mkdtemp(prefix="litevps-"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "postgres", settings=_QUICK)
    try:
        server.start()
        with _as_superuser(server) as connection:
            _create_database(connection, _TEMPLATE)
        migrate(server.url(OWNER, _TEMPLATE), server.service_password)
        install(server.url(OWNER, _TEMPLATE), READ_MODELS)
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
def database_name(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Make a migrated database for one test, and drop it afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    with _as_superuser(postgres_server) as connection:
        _create_database(connection, name, template=_TEMPLATE)
        try:
            yield name
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """Return the URL of a fresh, migrated database for the service's role, which owns nothing."""
    return postgres_server.url(SERVICE_ROLE, database_name)


@pytest.fixture
def owner_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """Return the URL of the same database for the role that owns it."""
    return postgres_server.url(OWNER, database_name)


@pytest.fixture
def superuser_url(postgres_server: EmbeddedPostgres, database_name: str) -> str:
    """Return the URL of the same database for the superuser, whom the ledger refuses as well."""
    return postgres_server.url(SUPERUSER, database_name)


@pytest.fixture
def empty_owner_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Return the owner's URL of a database that no migration has seen."""
    name = f"empty_{secrets.token_hex(6)}"
    with _as_superuser(postgres_server) as connection:
        _create_database(connection, name)
        try:
            yield postgres_server.url(OWNER, name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _as_superuser(server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True)


def _create_database(connection: psycopg.Connection, name: str, template: str = "template1") -> None:
    create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    connection.execute(create.format(*map(sql.Identifier, (name, OWNER, template))))


def _user_exists() -> bool:
    try:
        pwd.getpwnam(USER_NAME)
    except KeyError:
        return False
    return True
