"""One process of `litevps serve` is killed: the other goes on, the killed one is back, each minute is paid once."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from adapters.guest_image.builder import GuestImage
from domain.compute.events import VpsDeleted
from tests.journeys.killed_process import Customer, KilledProcess
from tests.journeys.minutes import check_minutes, minutes_of

pytestmark = [pytest.mark.host, pytest.mark.slow]

REMOVED_WITHIN_S = 60.0
BACK_WITHIN_S = 30.0
"""On a machine that does much else; alone it is back within 3 s (docs/reference/cli.md)."""


@pytest.fixture
def service(guest_image: GuestImage, free_port: int) -> Iterator[KilledProcess]:
    folder = Path(tempfile.mkdtemp(prefix="litevps-processes-"))
    folder.chmod(0o711)
    home = folder / "home"
    home.mkdir(mode=0o711)
    (home / "images").symlink_to(guest_image.folder.parent)
    service = KilledProcess(home, free_port, one_process=False)
    try:
        service.start()
        yield service
    finally:
        service.stop()
        service.close()
        print(service.log_tail())  # Shown by pytest where the test failed.
        shutil.rmtree(folder)


def killed(service: KilledProcess, command: str, meanwhile: Callable[[], None]) -> float:
    """Kill a process of the service, and return after how many seconds there is another one."""
    before = service.child(command)
    assert before is not None
    os.kill(before, signal.SIGKILL)
    began_s = time.monotonic()
    meanwhile()
    while service.child(command) in (None, before):
        assert time.monotonic() < began_s + BACK_WITHIN_S, f"{command} is not started again"
        time.sleep(0.05)
    return time.monotonic() - began_s


def await_removed(service: KilledProcess) -> None:
    """Wait until a VPS is gone from its host: by then its minutes are settled."""
    deadline_s = time.monotonic() + REMOVED_WITHIN_S
    while not any(isinstance(event, VpsDeleted) for event in service.events()):
        assert time.monotonic() < deadline_s, "the VPS is not removed"
        time.sleep(0.2)


def test_while_one_process_is_killed_the_other_goes_on_and_it_comes_back(service: KilledProcess) -> None:
    customer = Customer(service)
    customer.sign_up()
    customer.create("create")
    customer.await_state("running")

    def is_answered() -> None:
        assert customer.look() is not None

    # Nobody else answers: the request waits for the next process, and is not refused.
    killed(service, "api", meanwhile=lambda: None)
    is_answered()
    killed(service, "work", meanwhile=is_answered)
    done = customer.exec("echo once >> /root/file; cat /root/file", "exec")

    assert (done["exit_code"], done["stdout"]) == (0, "once\n")
    customer.delete()
    await_removed(service)
    minutes = minutes_of(UUID(customer.vps_id), service.events())
    check_minutes(minutes, waived_max=0)
    assert len(minutes.paid) >= 1
    verified = service.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
