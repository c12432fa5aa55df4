"""A real service on an embedded host, started, killed and started again, and the customer who goes on regardless."""

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import tuple_row

from adapters.embedded_postgres.server import EmbeddedPostgres
from domain.codec import decode
from domain.events import Event, all_events
from domain.ids import StreamId
from domain.ports import Recorded

PROGRAM = (sys.executable, "-X", "faulthandler", "-m", "api.cli.program")
UP_TIMEOUT_S = 90.0
DEATH_TIMEOUT_S = 90.0
POLL_S = 0.1
LOG_SHOWN_MAX = 20_000
REQUEST_TIMEOUT_S = 60.0
EMAIL = "ada@example.com"
SCRIPT = "#!/bin/sh\n" + "# More than stands in an event.\n" * 200
_EVENTS = """
    SELECT position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash
    FROM ledger.event WHERE type = ANY(%s) ORDER BY position
"""


class ServiceDied(Exception):
    """The service is gone; what was asked of it last may have happened or not."""


class KilledProcess:
    """`litevps serve` over one home folder: in one process, which dies as a whole, or in several."""

    def __init__(self, home: Path, port: int, *, one_process: bool = True) -> None:
        self.home = home
        self._variables = {"LITEVPS_ONE_PROCESS": str(one_process).lower()}
        self._url = f"http://127.0.0.1:{port}"
        self._flags = ("--development", "--home", str(home), "--port", str(port))
        self._log_file = home.parent / "service.log"
        self._log = self._log_file.open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(base_url=self._url, timeout=REQUEST_TIMEOUT_S)
        self.kills = 0

    def start(self, fail_at: str | None = None) -> None:
        """Start it, to die at a fail point if told. Raises ServiceDied where that comes before it serves."""
        environment = {**os.environ, **self._variables, **({"LITEVPS_FAIL_AT": fail_at} if fail_at else {})}
        command = [*PROGRAM, "serve", *self._flags]
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + UP_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                if self._client.get("/api/health").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(POLL_S)
        self._process.send_signal(signal.SIGABRT)  # Has it write where it is into its log.
        raise AssertionError("the service does not come up")

    def child(self, command: str) -> int | None:
        """Return the process that does ``api`` or ``work`` for it, None where there is none just now."""
        assert self._process is not None
        pid = self._process.pid
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            try:
                if command.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    return child
            except OSError:
                continue
        return None

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(UP_TIMEOUT_S)
            self._process = None

    def check_alive(self) -> None:
        """Raise ServiceDied if it was killed; its database is killed with it then."""
        assert self._process is not None
        status = self._process.poll()
        if status is None:
            return
        assert status == -signal.SIGKILL, f"the service ended by itself with {status}"
        self._process = None
        self.kills += 1
        self._kill_database()
        raise ServiceDied

    def await_death(self) -> None:
        """Wait until it has died at its fail point. Raises ServiceDied then."""
        deadline = time.monotonic() + DEATH_TIMEOUT_S
        while time.monotonic() < deadline:
            self.check_alive()
            time.sleep(POLL_S)
        raise AssertionError("the service never came to its fail point")

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """Send a request. Raises ServiceDied if no answer comes."""
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.TransportError:
            self.await_death()
            raise

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program on the same home."""
        command = [*PROGRAM, *arguments, "--home", str(self.home)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def events(self) -> list[Event]:
        """Return what is recorded, of the kinds that are known here, personal fields sealed."""
        with psycopg.connect(self._database().owner_url) as connection:
            rows = connection.cursor(row_factory=tuple_row).execute(_EVENTS, [list(all_events())]).fetchall()
        return [decode(Recorded(row[0], StreamId(row[1]), *row[2:])) for row in rows]

    def log_tail(self) -> str:
        """Return the end of what it had to say in all its lives."""
        return self._log_file.read_text()[-LOG_SHOWN_MAX:]

    def close(self) -> None:
        """End everything that was started here, guests too."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._client.close()
        self.run("host", "stop")
        self._database().stop()
        self._log.close()

    def _database(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.home / "postgres")

    def _kill_database(self) -> None:
        for file in (self.home / "postgres").rglob("postmaster.pid"):
            pid = int(file.read_text().splitlines()[0])
            os.kill(pid, signal.SIGKILL)
            while Path("/proc", str(pid)).exists():
                time.sleep(POLL_S)


class Customer:
    """Asks for one VPS and what comes of it; asks again, under the same key, whenever the service died."""

    def __init__(self, service: KilledProcess) -> None:
        self._service = service
        self._authorization = ""
        self.vps_id = ""

    def sign_up(self) -> None:
        """Open an account and have funds in it."""
        body = {"email": EMAIL, "password": "correct horse battery", "cf-turnstile-response": "XXXX.DUMMY.TOKEN.XXXX"}
        answer = self._service.ask("POST", "/api/auth/register", body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self._authorization = f"Bearer {answer.json()['token']}"
        credited = self._service.run("account", "credit", EMAIL, "10", "--reason", "to be spent")
        assert credited.returncode == 0, credited.stderr

    def another(self) -> "Customer":
        """Return the same customer, who asks for another VPS."""
        same = Customer(self._service)
        same._authorization = self._authorization
        return same

    def create(self, key: str) -> None:
        """Ask for a VPS, once a key."""
        answer = self._ask("POST", "/api/vps", {"name": "web", "vcpu": 1, "user_data": SCRIPT}, key)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self.vps_id = answer.json()["id"]

    def change(self, verb: str, key: str) -> None:
        """Ask the VPS to start, stop or restart, once a key."""
        answer = self._ask("POST", f"/api/vps/{self.vps_id}/{verb}", None, key)
        assert answer.status_code in (httpx.codes.OK, httpx.codes.ACCEPTED), answer.text

    def rename(self, name: str) -> None:
        """Have the VPS named otherwise."""
        answer = self._ask("PATCH", f"/api/vps/{self.vps_id}", {"name": name})
        assert answer.status_code == httpx.codes.OK, answer.text

    def take_snapshot(self, name: str, key: str) -> None:
        """Have the disk of the VPS kept, once a key, and wait until it is."""
        answer = self._ask("POST", f"/api/vps/{self.vps_id}/snapshots", {"name": name}, key)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        deadline = time.monotonic() + UP_TIMEOUT_S
        while time.monotonic() < deadline:
            self._service.check_alive()
            (snapshot,) = self.snapshots()
            if snapshot["state"] == "ready":
                return
            time.sleep(POLL_S)
        raise AssertionError(f"never ready: {self.snapshots()}")

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshots of the VPS as they are told."""
        told: list[dict[str, Any]] = self._ask("GET", f"/api/vps/{self.vps_id}/snapshots").json()
        return told

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot; asked again, it is gone."""
        answer = self._ask("DELETE", f"/api/vps/{self.vps_id}/snapshots/{name}")
        assert answer.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND), answer.text

    def let_expire(self) -> None:
        """Give the VPS a minute to live, if it has no end yet; asked again, it may be gone."""
        vps = self.look()
        if vps is not None and vps["expires_at"] is None:
            answer = self._ask("PATCH", f"/api/vps/{self.vps_id}", {"ttl_minutes": 1})
            assert answer.status_code == httpx.codes.OK, answer.text

    def exec(self, command: str, key: str, stdin: str | None = None) -> dict[str, Any]:
        """Run a command, once a key."""
        answer = self._ask("POST", f"/api/vps/{self.vps_id}/exec", {"command": command, "stdin": stdin}, key)
        assert answer.status_code == httpx.codes.OK, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def delete(self) -> None:
        """Delete the VPS; asked again, it is gone."""
        answer = self._ask("DELETE", f"/api/vps/{self.vps_id}")
        assert answer.status_code in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND), answer.text

    def look(self) -> dict[str, Any] | None:
        """Return the VPS as it is told, None once it is gone."""
        answer = self._ask("GET", f"/api/vps/{self.vps_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        told: dict[str, Any] = answer.json()
        return told

    def await_state(self, *states: str) -> None:
        """Wait until the VPS is in one of these states, with nothing pending."""
        deadline = time.monotonic() + UP_TIMEOUT_S
        while time.monotonic() < deadline:
            self._service.check_alive()
            vps = self.look()
            if vps is not None and vps["state"] in states and vps["pending"] is None:
                return
            time.sleep(POLL_S)
        raise AssertionError(f"never {' or '.join(states)}: {self.look()}")

    def balance_micros(self) -> int:
        """Return the balance as it is told."""
        balance: int = self._ask("GET", "/api/me").json()["balance_micros"]
        return balance

    def _ask(self, method: str, path: str, body: object = None, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": self._authorization, "X-Request-Id": secrets.token_hex(8)}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self._service.ask(method, path, body, **headers)
