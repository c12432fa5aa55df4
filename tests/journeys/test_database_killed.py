"""A service whose own PostgreSQL is killed goes on once it has started that again, and has lost nothing."""

import base64
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.embedded_postgres.server import EmbeddedPostgres
from adapters.turnstile import TEST_TOKEN
from tests.folders import make_folder

pytestmark = pytest.mark.slow

UP_TIMEOUT_S = 90
BACK_TIMEOUT_S = 60


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a folder that PostgreSQL's user may enter."""
    folder = make_folder("litevps-killed-")
    yield folder
    EmbeddedPostgres(folder / "postgres").stop()
    shutil.rmtree(folder)


def test_a_killed_database_comes_back_with_all_that_was_acknowledged(home: Path, free_port: int) -> None:
    flags = ("--development", "--compute", "simulated", "--home", str(home), "--port", str(free_port))
    serve = (sys.executable, "-m", "api.cli.program", "serve", *flags)
    database = EmbeddedPostgres(home / "postgres")
    log = home / "service.log"
    with log.open("w") as aside:
        service = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=aside)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as client:
            _wait_for(client)
            client.headers["authorization"] = f"Bearer {_registered(client)}"
            acknowledged = [_kept_key(client) for _ in range(3)]
            for _ in range(2):
                killed = database.pid
                assert killed is not None
                os.kill(killed, signal.SIGKILL)
                acknowledged += _kept_keys_until_it_is_back(client)
                assert database.pid not in (None, killed)
            names = {key["name"] for key in client.get("/api/ssh-keys").json()}
        assert service.poll() is None
    finally:
        service.send_signal(signal.SIGINT)
        assert service.wait(timeout=60) == 0, log.read_text()
    assert names >= {name for name in acknowledged if name is not None}
    assert log.read_text().count("PostgreSQL was gone and is started again") == 2
    assert database.pid is None


def _wait_for(client: httpx.Client) -> None:
    deadline_s = time.monotonic() + UP_TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            if client.get("/api/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the service did not come up")


def _registered(client: httpx.Client) -> str:
    body = {"email": "ann@example.com", "password": "a long password", "cf-turnstile-response": TEST_TOKEN}
    token: str = client.post("/api/auth/register", json=body).json()["token"]
    return token


def _kept_keys_until_it_is_back(client: httpx.Client) -> list[str | None]:
    """Return what became of the keys that were sent until one was kept, and of one more."""
    deadline_s = time.monotonic() + BACK_TIMEOUT_S
    sent: list[str | None] = []
    time.sleep(0.2)
    while not sent or sent[-1] is None:
        assert time.monotonic() < deadline_s, "the database does not come back"
        sent.append(_kept_key(client))
    return [*sent, _kept_key(client)]


def _kept_key(client: httpx.Client) -> str | None:
    """Have a new key kept; return its name, None where the service told that it could not."""
    blob = b"".join(len(part).to_bytes(4) + part for part in (b"ssh-ed25519", secrets.token_bytes(32)))
    name = secrets.token_hex(8)
    body = {"name": name, "public_key": f"ssh-ed25519 {base64.b64encode(blob).decode()}"}
    answer = client.post("/api/ssh-keys", json=body)
    assert answer.status_code in (httpx.codes.CREATED, httpx.codes.SERVICE_UNAVAILABLE), answer.text
    return name if answer.status_code == httpx.codes.CREATED else None
