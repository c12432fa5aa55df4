"""Events are never changed: what the database refuses, and to whom."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

APPEND = """
    SELECT last_position FROM ledger.append(
        false, '{0}', ARRAY[%s]::uuid[], '{1}', '{t}', '{p}', '{m}', '{1}',
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'
    )
"""
CHANGES = [
    "UPDATE ledger.event SET payload = 'changed'",
    "UPDATE ledger.event SET payload = payload WHERE false",
    "DELETE FROM ledger.event",
    "DELETE FROM ledger.event WHERE position = 1",
    "TRUNCATE ledger.event",
    "TRUNCATE ledger.event CASCADE",
    "TRUNCATE ledger.stream_head, ledger.event",
    "INSERT INTO ledger.event SELECT * FROM ledger.event ON CONFLICT (position) DO UPDATE SET payload = 'changed'",
    "MERGE INTO ledger.event AS e USING ledger.head AS h ON e.position = h.position WHEN MATCHED THEN DELETE",
]


@pytest.fixture(autouse=True)
def one_event(database_url: str) -> Iterator[None]:
    """Record one event, and see that it is there unchanged afterwards."""
    with psycopg.connect(database_url) as connection:
        connection.execute(APPEND, [uuid4()])
        connection.commit()
        seen = connection.execute("SELECT * FROM ledger.event").fetchall()
        connection.commit()
        yield
        assert connection.execute("SELECT * FROM ledger.event").fetchall() == seen
        assert len(seen) == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
def test_the_superuser_cannot_change_events(superuser_url: str, change: str, replication_role: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        connection.execute(f"SET session_replication_role = {replication_role}".encode())
        with pytest.raises(psycopg.errors.RestrictViolation, match="events are never changed"):
            connection.execute(change.encode())


@pytest.mark.parametrize("change", CHANGES)
def test_the_owner_cannot_change_events(owner_url: str, change: str) -> None:
    with psycopg.connect(owner_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(change.encode())


@pytest.mark.parametrize(
    "change",
    [
        *CHANGES,
        "INSERT INTO ledger.event SELECT * FROM ledger.event",
        "UPDATE ledger.head SET position = 0",
        "UPDATE ledger.stream_head SET version = 0",
        "INSERT INTO ledger.stream_head VALUES (gen_random_uuid(), 1)",
        "DELETE FROM ledger.claim",
        "INSERT INTO ledger.claim VALUES ('email', 'key', gen_random_uuid())",
        "DELETE FROM ledger.minute_head",
        "ALTER TABLE ledger.event DISABLE TRIGGER event_never_updated_or_deleted",
        "ALTER TABLE ledger.event DISABLE TRIGGER ALL",
        "ALTER TABLE ledger.event DROP COLUMN leaf_hash",
        "ALTER TABLE ledger.event ADD COLUMN more text",
        "DROP TRIGGER event_never_truncated ON ledger.event",
        "DROP TABLE ledger.event",
        "DROP SCHEMA ledger CASCADE",
        "CREATE TABLE ledger.mine (x integer)",
        "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION ledger.append",
        "SET session_replication_role = replica",
        "SET ROLE litevps_owner",
    ],
)
def test_the_service_may_only_add(database_url: str, change: str) -> None:
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.Error) as refusal:
        connection.execute(change.encode())
    assert refusal.value.sqlstate in ("42501", "2BP01"), "refused for want of a right"


def test_the_service_owns_nothing_in_the_ledger(superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        owned = connection.execute(
            "SELECT count(*) FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid"
            " WHERE r.rolname = 'litevps_service' AND d.deptype = 'o'"
            " AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        may_more = connection.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
            " FROM pg_roles WHERE rolname = 'litevps_service'"
        ).fetchone()
    assert (owned, may_more) == ((0,), (False,))


def test_what_runs_with_the_owners_rights_looks_in_no_schema_of_the_callers(superuser_url: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        loose = connection.execute(
            "SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'ledger'::regnamespace AND p.prosecdef"
            " AND NOT coalesce(p.proconfig, '{}') @> '{\"search_path=pg_catalog, pg_temp\"}'"
        ).fetchall()
    assert loose == []
