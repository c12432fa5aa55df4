"""A real service dies by SIGKILL just after the mail server took a mail: the next one sends it again, recognisably."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from email.message import EmailMessage

import httpx
import pytest

from tests.api.mailed_house import VERIFY_PATH, code_in
from tests.contracts.mailers import parsed
from tests.folders import make_folder
from tests.journeys.killed_process import EMAIL, KilledProcess, ServiceDied

pytestmark = [pytest.mark.database, pytest.mark.slow]

WAIT_S = 120.0
"""Longer than the lease of a mail, should it outlive the database."""
POLL_S = 0.2


@pytest.fixture
def service(free_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[KilledProcess]:
    """Give a service that drives simulated hosts, over a home folder of its own."""
    monkeypatch.setenv("LITEVPS_COMPUTE", "simulated")
    folder = make_folder()
    made = KilledProcess(folder / "home", free_port)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


def test_a_mail_that_was_taken_as_the_service_died_comes_again_with_the_same_id_and_code(
    service: KilledProcess,
) -> None:
    service.start(fail_at="mail:after-server")
    body = {"email": EMAIL, "password": "correct horse battery", "cf-turnstile-response": "XXXX.DUMMY.TOKEN.XXXX"}
    with suppress(ServiceDied):
        assert service.ask("POST", "/api/auth/register", body).status_code == httpx.codes.CREATED
        service.await_death()
    assert service.kills == 1
    (first,) = mails_of(service)

    service.start()
    deadline = time.monotonic() + WAIT_S
    while len(mails := mails_of(service)) < 2 and time.monotonic() < deadline:
        service.check_alive()
        time.sleep(POLL_S)

    first, second = mails
    assert first["Message-ID"] == second["Message-ID"]
    assert code_in(first) == code_in(second)
    assert service.ask("POST", VERIFY_PATH, {"code": code_in(second)}).status_code == httpx.codes.NO_CONTENT
    service.stop()
    verified = service.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def mails_of(service: KilledProcess) -> list[EmailMessage]:
    """Return the mail that was sent so far."""
    return [parsed(file.read_bytes()) for file in sorted((service.home / "mail").glob("*.eml"))]
