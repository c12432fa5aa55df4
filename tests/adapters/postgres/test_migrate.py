"""Migrations are applied in order, once, and an applied one never changes."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.postgres.migrate import Migration, MigrationRefused, migrate, migrations

FIRST = Migration("0001_first.sql", "CREATE TABLE first (n int); INSERT INTO first VALUES (1);")
SECOND = Migration("0002_second.sql", "CREATE TABLE second (n int);")
BROKEN = Migration("0002_broken.sql", "CREATE TABLE half (n int); SELECT nonsense;")


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in rows} - {"schema_migration"}


def test_what_ships_is_applied_to_an_empty_database_and_a_second_time_does_nothing(empty_owner_url: str) -> None:
    assert migrate(empty_owner_url, None) == [one.name for one in migrations()]

    assert migrate(empty_owner_url, None) == []


def test_only_what_is_new_is_applied(empty_owner_url: str) -> None:
    migrate(empty_owner_url, None, [FIRST])

    assert migrate(empty_owner_url, None, [FIRST, SECOND]) == [SECOND.name]


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_owner_url: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedColumn):
        migrate(empty_owner_url, None, [FIRST, BROKEN])

    assert tables(empty_owner_url) == {"first"}
    assert migrate(empty_owner_url, None, [FIRST, SECOND]) == [SECOND.name]


def test_an_applied_migration_that_was_changed_is_refused(empty_owner_url: str) -> None:
    migrate(empty_owner_url, None, [FIRST])

    with pytest.raises(MigrationRefused, match=r"0001_first\.sql was changed"):
        migrate(empty_owner_url, None, [Migration(FIRST.name, FIRST.text + " "), SECOND])
    assert tables(empty_owner_url) == {"first"}


def test_a_migration_put_in_before_an_applied_one_is_refused(empty_owner_url: str) -> None:
    migrate(empty_owner_url, None, [SECOND])

    with pytest.raises(MigrationRefused, match=r"0001_first\.sql comes before 0002_second\.sql"):
        migrate(empty_owner_url, None, [FIRST, SECOND])


def test_a_database_newer_than_the_program_is_refused(empty_owner_url: str) -> None:
    migrate(empty_owner_url, None, [FIRST, SECOND])

    with pytest.raises(MigrationRefused, match="older"):
        migrate(empty_owner_url, None, [FIRST])


def test_processes_that_start_at_once_apply_each_migration_once(empty_owner_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(lambda _: migrate(empty_owner_url, None, [FIRST, SECOND]), range(4)))

    assert sorted(map(len, applied)) == [0, 0, 0, 2]


def test_output_that_was_kept_before_there_were_blobs_is_found_among_them(empty_owner_url: str) -> None:
    before = [one for one in migrations() if one.name < "0009"]
    migrate(empty_owner_url, None, before)
    with psycopg.connect(empty_owner_url) as owner:
        owner.execute(
            "INSERT INTO work.job_output (job_id, account_id, stdout, stderr)"
            " SELECT gen_random_uuid(), gen_random_uuid(), 'out ' || n, 'err' FROM generate_series(1, 3) AS n"
        )
        kept = owner.execute("SELECT job_id, account_id, stdout, stderr FROM work.job_output").fetchall()

    migrate(empty_owner_url, None)

    with psycopg.connect(empty_owner_url) as owner:
        blobs = owner.execute("SELECT stream, account_id, field, sealed, is_recorded FROM work.blob").fetchall()
    outputs = {(job_id, account_id, "stdout", out, True) for job_id, account_id, out, _ in kept}
    assert set(blobs) == outputs | {(job_id, account_id, "stderr", err, True) for job_id, account_id, _, err in kept}


def test_a_read_model_that_nobody_reads_any_more_keeps_no_service_from_being_ready(empty_owner_url: str) -> None:
    migrate(empty_owner_url, None, [one for one in migrations() if one.name < "0012"])
    with psycopg.connect(empty_owner_url) as owner:
        owner.execute("CREATE TABLE read_models.ssh_key (id uuid)")
        owner.execute("INSERT INTO read_models.projection (name, shape) VALUES ('ssh_keys', 'old'), ('vps', 'old')")

    migrate(empty_owner_url, None)

    with psycopg.connect(empty_owner_url) as owner:
        assert owner.execute("SELECT name FROM read_models.projection").fetchall() == [("vps",)]
        assert owner.execute("SELECT to_regclass('read_models.ssh_key')").fetchall() == [(None,)]


def test_the_service_logs_in_and_owns_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        owned = connection.execute("SELECT relname FROM pg_class WHERE relowner = current_user::regrole").fetchall()
        assert owned == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (n int)")
