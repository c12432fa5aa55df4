"""Keys are rotated and accounts erased beside 50 requests a second to two real processes: no request fails."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import jwt
import pytest

from adapters.turnstile import TEST_TOKEN
from tests.api.houses import PASSWORD
from tests.ports import free_port

pytestmark = pytest.mark.anyio

A_SECOND = 50
LONG = "LITEVPS_LONG" in os.environ
"""Then it goes on until another key signs sessions, a minute later."""
PROGRAM = (sys.executable, "-m", "api.cli.program")


class Service:
    """Two processes of one service, and the command line beside them."""

    def __init__(self, environment: dict[str, str], urls: list[str]) -> None:
        self._environment = environment
        self.urls = urls

    async def typed(self, *words: str) -> str:
        """Type a command; return what it told."""
        command = await asyncio.create_subprocess_exec(
            *PROGRAM, *words, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        told, problems = await command.communicate()
        assert command.returncode == 0, (words, problems.decode())
        return told.decode()


@asynccontextmanager
async def service(database_url: str, owner_url: str, home: Path) -> AsyncIterator[Service]:
    environment = os.environ | {
        "LITEVPS_HOME": str(home),
        "LITEVPS_DATABASE_URL": database_url,
        "LITEVPS_MIGRATION_URL": owner_url,
        "LITEVPS_COMPUTE": "simulated",
        "LITEVPS_DEVELOPMENT": "true",
        "LITEVPS_REQUESTS_PER_MINUTE": "1000000",
        "LITEVPS_REGISTRATIONS_PER_MINUTE": "1000000",
        "LITEVPS_LOGINS_PER_MINUTE": "1000000",
    }
    ports = [free_port() for _ in range(2)]
    processes = []
    with (home / "log").open("w") as log:
        try:
            for port in ports:
                processes.append(
                    await asyncio.create_subprocess_exec(
                        *PROGRAM, "api", "--port", str(port), env=environment, stdout=log, stderr=log
                    )
                )
                await answers(f"http://127.0.0.1:{port}")
            yield Service(environment, [f"http://127.0.0.1:{port}" for port in ports])
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(process.wait() for process in processes))


async def answers(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(600):
            try:
                if (await client.get("/api/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)
    raise AssertionError(f"{url} does not answer")


class Traffic:
    """So many requests a second, each counted by what it was and how it was answered."""

    def __init__(self, clients: list[httpx.AsyncClient], sessions: list[str]) -> None:
        self._turns = itertools.cycle(itertools.product(sessions, clients))
        self.told: Counter[tuple[str, int | str]] = Counter()
        self._numbers = itertools.count()

    async def run(self) -> None:
        """Send until cancelled; what is under way then is awaited."""
        async with asyncio.TaskGroup() as requests:
            with suppress_cancelled():
                begins = asyncio.get_running_loop().time()
                for n in itertools.count():
                    requests.create_task(self._one(*next(self._turns)))
                    await asyncio.sleep(max(0.0, begins + (n + 1) / A_SECOND - asyncio.get_running_loop().time()))

    async def _one(self, session: str, client: httpx.AsyncClient) -> None:
        number = next(self._numbers)
        ask = ("GET", "/api/me") if number % 3 else ("PUT", "/api/billing/alerts")
        body: dict[str, str | None] | None = None if number % 3 else {"email": None}
        if number % 30 == 0:
            ask, body = ("POST", "/api/tokens"), {"name": f"token {number}"}
        headers = {"authorization": f"Bearer {session}"}
        if ask[0] == "POST":
            headers["idempotency-key"] = str(number)
        # A connection that has long been idle may end just when it is used again (RFC 9112, section 9.3.1): once more.
        for attempt in (1, 2):
            try:
                answer = await client.request(*ask, json=body, headers=headers)
                self.told[ask[1], answer.status_code] += 1
                return
            except httpx.RemoteProtocolError as ended:
                if attempt == 2:
                    self.told[ask[1], repr(ended)] += 1
            except httpx.HTTPError as problem:
                self.told[ask[1], repr(problem)] += 1
                return


class suppress_cancelled:
    """Ends what is cancelled as if it had come to its end."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        if kind is asyncio.CancelledError:
            task = asyncio.current_task()
            assert task is not None
            task.uncancel()
            return True
        return False


async def register(client: httpx.AsyncClient, email: str) -> str:
    body = {"email": email, "password": PASSWORD, "cf-turnstile-response": TEST_TOKEN}
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def test_rotation_and_erasure_fail_no_request_beside_them(
    database_url: str, owner_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with service(database_url, owner_url, tmp_path) as here:
        clients = [httpx.AsyncClient(base_url=url, timeout=60) for url in here.urls]
        stay = [await register(clients[n % 2], f"stay{n}@example.com") for n in range(4)]
        leave = {f"leave{n}@example.com": await register(clients[n % 2], f"leave{n}@example.com") for n in range(2)}
        traffic = Traffic(clients, stay)
        running = asyncio.create_task(traffic.run())

        old = json.loads(await here.typed("keys", "list", "-o", "json"))["keys"][0]["id"]
        for n, (email, session) in enumerate(leave.items()):
            await clients[n % 2].request(
                "DELETE", "/api/me", json={"password": PASSWORD}, headers={"authorization": f"Bearer {session}"}
            )
            erasing = asyncio.create_task(here.typed("account", "erase", email, "--reason", "requested", "--yes"))
            if n == 0:
                await here.typed("keys", "rotate", "master")
            if n == 1:
                await here.typed("keys", "rotate", "jwt")
            await erasing
        await here.typed("keys", "retire", "master", old)
        came_meanwhile = await register(clients[0], "new@example.com")
        await asyncio.sleep(75 if LONG else 1)
        running.cancel()
        await running
        with capsys.disabled():
            print(f"\n{sum(traffic.told.values())} requests: {dict(traffic.told)}")

        assert {status for _, status in traffic.told} <= {200, 201}, traffic.told
        me = await clients[1].get("/api/me", headers={"authorization": f"Bearer {came_meanwhile}"})
        assert me.json()["email"] == "new@example.com"
        if LONG:
            body = {"email": "stay0@example.com", "password": PASSWORD}
            token = (await clients[0].post("/api/auth/login", json=body)).json()["token"]
            assert jwt.get_unverified_header(token)["kid"] == "2"
            told = await clients[1].get("/api/me", headers={"authorization": f"Bearer {token}"})
            assert told.status_code == 200
        for client in clients:
            await client.aclose()
