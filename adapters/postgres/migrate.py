"""The runner of migrations: numbered SQL, applied in order, once, and never changed afterwards."""

import re
from contextlib import suppress
from hashlib import sha256
from importlib import resources

import msgspec
import psycopg
from psycopg import sql

SERVICE_ROLE = "litevps_service"
_FILE_NAME = re.compile(r"[0-9]{4}_[a-z0-9_]+\.sql")
_LOCK = 0x6C697465  # "lite": any number that nothing else in the database locks.
_LEDGER = """
    CREATE TABLE IF NOT EXISTS schema_migration (
        name text PRIMARY KEY,
        checksum bytea NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""


class Migration(msgspec.Struct, frozen=True):
    """One numbered file of SQL."""

    name: str
    text: str

    @property
    def checksum(self) -> bytes:
        """Return the SHA-256 of the file."""
        return sha256(self.text.encode()).digest()


class MigrationRefused(Exception):
    """The database and this program do not fit together; nothing was changed."""


def migrations() -> list[Migration]:
    """Return the migrations that ship with this program, in order."""
    files = (entry for entry in resources.files("migrations").iterdir() if entry.name.endswith(".sql"))
    found = sorted((Migration(entry.name, entry.read_text()) for entry in files), key=lambda one: one.name)
    numbers = [one.name[:4] for one in found]
    assert all(_FILE_NAME.fullmatch(one.name) for one in found), "a migration is named NNNN_what_it_does.sql"
    assert len(set(numbers)) == len(numbers), "two migrations have the same number"
    return found


def migrate(owner_url: str, service_password: str | None, steps: list[Migration] | None = None) -> list[str]:
    """Bring a database to the newest form and return the names of what was applied.

    Each file is applied in a transaction of its own; processes that start at once wait for each other.
    ``service_password``: given to the service's role, which is made where it is missing; None leaves a
    password as it is. ``steps``: other migrations than those that ship.

    Raises MigrationRefused if an applied file has changed or is unknown here, or one was put in before it.
    """
    steps = migrations() if steps is None else steps
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        connection.execute(_LEDGER)
        pending = _pending(connection, steps)
        _ensure_service_role(connection, service_password)
        for step in pending:
            with connection.transaction():
                connection.execute(step.text.encode())
                connection.execute(
                    "INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", [step.name, step.checksum]
                )
    return [step.name for step in pending]


def _pending(connection: psycopg.Connection, steps: list[Migration]) -> list[Migration]:
    rows = connection.execute("SELECT name, checksum FROM schema_migration ORDER BY name").fetchall()
    for number, (name, checksum) in enumerate(rows):
        if number >= len(steps) or steps[number].name > name:
            raise MigrationRefused(f"the database has {name}, which this program does not know: is it an older one?")
        if steps[number].name < name:
            raise MigrationRefused(f"{steps[number].name} comes before {name}, which is applied already")
        if steps[number].checksum != bytes(checksum):
            raise MigrationRefused(f"{name} was changed after it was applied: write a new migration instead")
    return steps[len(rows) :]


def _ensure_service_role(connection: psycopg.Connection, password: str | None) -> None:
    role = sql.Identifier(SERVICE_ROLE)
    if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [SERVICE_ROLE]).rowcount:
        # Roles belong to the whole server, so the migration of another database may be faster.
        with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    if password is not None:
        # Hashed here, so that the server's log never sees the password itself.
        verifier = connection.pgconn.encrypt_password(
            password.encode(), SERVICE_ROLE.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)))
