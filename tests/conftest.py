"""Fixtures that every test may ask for: a real PostgreSQL, and a fresh, migrated database in it."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import settings

from adapters.embedded_postgres.server import OWNER, SERVICE_ROLE, SUPERUSER, EmbeddedPostgres
from adapters.embedded_postgres.unprivileged import USER_NAME
from tests import ports
from tests.databases import Databases
from tests.folders import make_folder
from tests.workers import Worker, Workers, is_worker, order_for_sharing

pytest_plugins = ["tests.guests", "tests.storage", "tests.api.compute_world"]

# Databases are made and dropped for each test; what a power cut would take from them is of no interest.
_QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "128MB"}
# A connection proves its password in 2 ms instead of 4, and a test opens half a dozen.
_QUICK |= {"scram_iterations": "1"}
# Nothing is kept for long enough to be cleaned up, and nobody follows the log.
_QUICK |= {"autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0"}

# A deadline would measure the machine. `make long` looks for rarer cases, of each property so many as LITEVPS_LONG says
# where that is more than 1.
_TOLD_MAX = int(os.environ.get("LITEVPS_LONG") or 0)
settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None, max_examples=_TOLD_MAX if _TOLD_MAX > 1 else 2_000)
settings.load_profile("long" if "LITEVPS_LONG" in os.environ else "quick")


_USER_THERE_BEFORE = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGTERM end the session as Ctrl-C does, so that no server is left behind."""
    if is_worker(config):
        config.pluginmanager.register(Worker(config))
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if config.getoption("numprocesses", default=None):
        config.pluginmanager.register(Workers())
    config.stash[_USER_THERE_BEFORE] = _user_exists()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the service's system user if it was this session that made it, once all of its workers have ended."""
    if not is_worker(config) and not config.stash[_USER_THERE_BEFORE] and _user_exists():
        # Refused while another session's server runs as this user; then that one goes on needing it.
        subprocess.run(["/usr/sbin/userdel", USER_NAME], capture_output=True, check=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what uses the real PostgreSQL, and have workers begin with what takes long."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
    if is_worker(config):
        order_for_sharing(items)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, and on it alone."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Start an embedded PostgreSQL for the session."""
    folder = make_folder()
    server = EmbeddedPostgres(folder / "postgres", settings=_QUICK)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def databases(postgres_server: EmbeddedPostgres) -> Iterator[Databases]:
    """Give fresh databases, each a copy of one that is migrated."""
    made = Databases(postgres_server)
    yield made
    made.close()


@pytest.fixture
def database_name(databases: Databases) -> Iterator[str]:
    """Make a migrated database for one test, and drop it afterwards."""
    with databases.migrated() as name:
        yield name


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
def empty_owner_url(databases: Databases) -> Iterator[str]:
    """Return the owner's URL of a database that no migration has seen."""
    with databases.empty() as name:
        yield databases.server.url(OWNER, name)


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listened on a moment ago."""
    return ports.free_port()


def _user_exists() -> bool:
    try:
        pwd.getpwnam(USER_NAME)
    except KeyError:
        return False
    return True
