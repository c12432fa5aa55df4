"""Several processes of the service over one database, and one more that stands in for Stripe."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
from psycopg.rows import tuple_row

from adapters.stripe_stand_in.signing import signed
from domain.codec import decode
from domain.events import Event, all_events
from domain.ids import StreamId
from domain.ports import Recorded

PROGRAM = (sys.executable, "-m", "api.cli.program")
UP_TIMEOUT_S = 60.0
POLL_S = 0.05
SECRET = "whsec_of_the_journey"
KEY = "sk_test_of_the_journey"
TURNSTILE = "XXXX.DUMMY.TOKEN.XXXX"
WEBHOOK = "/api/billing/webhook"
_EVENTS = """
    SELECT position, stream, version, type, payload, metadata, happened_at, recorded_at, leaf_hash
    FROM ledger.event WHERE type = ANY(%s) ORDER BY position
"""


class Ports(msgspec.Struct, frozen=True):
    """Where each process listens."""

    stripe: int
    first: int
    second: int


class Processes:
    """What is started and killed."""

    def __init__(self, folder: Path, database_url: str, owner_url: str, ports: Ports) -> None:
        self._owner_url = owner_url
        self._folder = folder
        self.ports = ports
        self.stripe = httpx.Client(base_url=f"http://127.0.0.1:{ports.stripe}", timeout=30)
        self.apis = [f"http://127.0.0.1:{port}" for port in (ports.first, ports.second)]
        self._environment = {
            **os.environ,
            "LITEVPS_DATABASE_URL": database_url,
            "LITEVPS_HOME": str(folder / "home"),
            "LITEVPS_COMPUTE": "simulated",
            "LITEVPS_DEVELOPMENT": "true",
            "LITEVPS_STRIPE_SECRET_KEY": KEY,
            "LITEVPS_STRIPE_WEBHOOK_SECRET": SECRET,
            "LITEVPS_STRIPE_API_BASE": f"http://127.0.0.1:{ports.stripe}",
            "LITEVPS_REGISTRATIONS_PER_MINUTE": "1000",
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._log = (folder / "log").open("ab")

    def start_stripe(self, webhook: str | None = None) -> None:
        """Start what stands in for Stripe; without a webhook it tells nobody."""
        told = () if webhook is None else ("--webhook", webhook)
        state = self._folder / "stripe.sqlite"
        command = [sys.executable, "-m", "adapters.stripe_stand_in", "--state", str(state)]
        self._start("stripe", [*command, "--port", str(self.ports.stripe), *told])
        self._await("stripe", f"http://127.0.0.1:{self.ports.stripe}/stand-in/events")

    def start_api(self, number: int) -> None:
        """Start one of the processes that answer HTTP."""
        port = (self.ports.first, self.ports.second)[number]
        self._start(f"api {number}", [*PROGRAM, "api", "--port", str(port)])
        self._await(f"api {number}", f"{self.apis[number]}/api/health")

    def have_own_stand_in(self) -> None:
        """Have every process from here on use the stand-in for Stripe that the service itself has."""
        for name in ("SECRET_KEY", "WEBHOOK_SECRET", "API_BASE"):
            self._environment.pop(f"LITEVPS_STRIPE_{name}", None)

    def start_all_in_one(self) -> None:
        """Start the whole service in one process."""
        self._start("serve", [*PROGRAM, "serve", "--port", str(self.ports.first)])
        self._await("serve", f"{self.apis[0]}/api/health")

    def start_work(self) -> None:
        """Start the process that works, which sweeps too."""
        self._start("work", [*PROGRAM, "work"])

    def kill(self, name: str) -> None:
        """Kill one at once."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the program."""
        command = [*PROGRAM, *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120, check=False)

    def act(self, name: str, **arguments: Any) -> Any:
        """Do something at Stripe that no customer does."""
        answer = self.stripe.post(f"/stand-in/{name}", json=arguments)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def told(self) -> list[dict[str, Any]]:
        """Return everything that Stripe has to tell."""
        events: list[dict[str, Any]] = self.stripe.get("/stand-in/events").json()
        return events

    def deliver(self, event: dict[str, Any], number: int) -> int | None:
        """Tell one of the processes of an event; return its status, None where nobody answers."""
        raw, signature = signed(event, SECRET, int(time.time()))
        try:
            url = self.apis[number] + WEBHOOK
            return httpx.post(url, content=raw, headers={"stripe-signature": signature}, timeout=30).status_code
        except httpx.TransportError:
            return None

    def events(self, *kinds: type[Event]) -> list[Any]:
        """Return what is recorded of these kinds, personal fields sealed."""
        names = [name for name, kind in all_events().items() if issubclass(kind, kinds)]
        with psycopg.connect(self._owner_url) as connection:
            rows = connection.cursor(row_factory=tuple_row).execute(_EVENTS, [names]).fetchall()
        return [decode(Recorded(row[0], StreamId(row[1]), *row[2:])) for row in rows]

    def log_tail(self) -> str:
        """Return the end of what all of them had to say."""
        return (self._folder / "log").read_text()[-10_000:]

    def close(self) -> None:
        """End whatever runs."""
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        self.stripe.close()
        self._log.close()

    def _start(self, name: str, command: list[str]) -> None:
        self._running[name] = subprocess.Popen(command, env=self._environment, stdout=self._log, stderr=self._log)

    def _await(self, name: str, url: str) -> None:
        for _ in waiting(UP_TIMEOUT_S):
            assert self._running[name].poll() is None, f"{name} ended: {self.log_tail()}"
            try:
                if httpx.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                continue
        raise AssertionError(f"{name} does not come up: {self.log_tail()}")


class Payer:
    """Somebody who pays, asking whichever process."""

    def __init__(self, processes: Processes, email: str) -> None:
        self._processes = processes
        body = {"email": email, "password": "correct horse battery", "cf-turnstile-response": TURNSTILE}
        answer = httpx.post(f"{processes.apis[0]}/api/auth/register", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        self.authorization = {"authorization": f"Bearer {answer.json()['token']}"}

    def ask(self, method: str, path: str, body: object = None, number: int = 0) -> httpx.Response:
        """Send a request."""
        url = self._processes.apis[number] + path
        return httpx.request(method, url, json=body, headers=self.authorization, timeout=30)

    def pay(self, amount: int) -> str:
        """Pay in; return the session."""
        answer = self.ask("POST", "/api/billing/add-funds", {"amount": amount})
        assert answer.status_code == httpx.codes.OK, answer.text
        session: str = answer.json()["url"].rpartition("/")[2]
        self._processes.act("pay", session=session)
        return session

    def balance(self, number: int = 0) -> int:
        """Return the balance in micro-USD."""
        balance: int = self.ask("GET", "/api/me", number=number).json()["balance_micros"]
        return balance

    def vps(self, vps_id: str) -> dict[str, Any]:
        """Return a VPS."""
        told: dict[str, Any] = self.ask("GET", f"/api/vps/{vps_id}").json()
        return told


def waiting(timeout_s: float) -> Iterator[None]:
    """Give turns until the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL_S)
