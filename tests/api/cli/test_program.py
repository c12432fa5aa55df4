"""Tests of the program as a process: what it prints and how it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

UP_TIMEOUT_S = 60
PROGRAM = (sys.executable, "-m", "api.cli.program")


@pytest.fixture
def environment(tmp_path: Path, database_url: str, owner_url: str) -> dict[str, str]:
    """Return the variables of a service on a fresh database."""
    return os.environ | {
        "LITEVPS_HOME": str(tmp_path / "home"),
        "LITEVPS_DATABASE_URL": database_url,
        "LITEVPS_MIGRATION_URL": owner_url,
        "LITEVPS_COMPUTE": "simulated",
    }


def test_a_refusal_is_told_in_its_own_words(environment: dict[str, str]) -> None:
    create = (*PROGRAM, "account", "create", "ann@example.com")
    refused = subprocess.run(create, input="short\n", env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "Error: invalid request (password: must have at least 8 characters)\n"
    assert refused.stdout == ""


def test_production_without_secrets_does_not_start(environment: dict[str, str]) -> None:
    refused = subprocess.run((*PROGRAM, "serve"), env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "LITEVPS_TURNSTILE_SECRET is not set" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_service_tells_where_it_is_and_ends_in_order_when_told(environment: dict[str, str], free_port: int) -> None:
    serve = (*PROGRAM, "serve", "--development", "--port", str(free_port))
    with subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as service:
        try:
            _wait_for(free_port)
            taken = subprocess.run(serve, env=environment, capture_output=True, text=True, check=False)
            (Path(environment["LITEVPS_HOME"]) / "host").mkdir()
            stop = (*PROGRAM, "host", "stop")
            kept = subprocess.run(stop, env=environment, capture_output=True, text=True, check=False)
        finally:
            service.send_signal(signal.SIGINT)
            said, aside = service.communicate(timeout=30)
    assert service.returncode == 0, aside
    assert f"LiteVPS serves http://127.0.0.1:{free_port}" in said
    assert "operator: operator@litevps.example   password: " in said
    home = environment["LITEVPS_HOME"]
    assert f"account credit --home {home} EMAIL" in said
    assert f"demo --home {home} --port {free_port} " in said
    assert f"host stop --home {home}`" in said
    assert "ended" in aside
    assert "ending: waiting at most 20 s" in aside
    assert kept.returncode == 1
    assert "a service runs on the host of" in kept.stderr
    assert taken.returncode == 1
    assert f"cannot listen on 127.0.0.1:{free_port}" in taken.stderr


def test_in_production_the_operators_password_is_not_printed(environment: dict[str, str], free_port: int) -> None:
    secrets = {
        "LITEVPS_TURNSTILE_SECRET": "0x4AAA",
        "LITEVPS_STRIPE_SECRET_KEY": "sk_live_1",
        "LITEVPS_STRIPE_WEBHOOK_SECRET": "whsec_1",
        "LITEVPS_COMPUTE": "embedded",  # By this process no host is driven.
    }
    serve = (*PROGRAM, "api", "--port", str(free_port))
    with subprocess.Popen(
        serve, env=environment | secrets, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as service:
        try:
            _wait_for(free_port)
        finally:
            service.send_signal(signal.SIGINT)
            said, aside = service.communicate(timeout=30)
    operator_file = Path(environment["LITEVPS_HOME"]) / "operator.txt"
    password = operator_file.read_text().splitlines()[1]
    assert f"operator: operator@litevps.example   password: in {operator_file}" in said
    assert password not in said + aside


def test_http_and_work_can_be_processes_of_their_own(
    environment: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    flags = ("--development", "--port", str(free_port))
    log = tmp_path / "work.log"
    with log.open("w") as aside:
        answering = subprocess.Popen((*PROGRAM, "api", *flags), env=environment, stdout=subprocess.DEVNULL)
        working = subprocess.Popen((*PROGRAM, "work", *flags), env=environment, stderr=aside)
    try:
        _wait_for(free_port)
        # Until it is up, a signal ends it as it ends any process, and not in order.
        _until(lambda: "working" in log.read_text())
        plans = httpx.get(f"http://127.0.0.1:{free_port}/api/pricing").json()
        assert len(plans) == 4
        assert working.poll() is None
    finally:
        for process in (answering, working):
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(timeout=30) for process in (answering, working)]
    assert ended == [0, 0], log.read_text()


def _wait_for(port: int) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/api/ready").status_code == 200
        except httpx.TransportError:
            return False

    _until(is_ready)


def _until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + UP_TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "the service did not come up"
        time.sleep(0.1)
