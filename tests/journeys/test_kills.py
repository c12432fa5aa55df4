"""A real service and its database die by SIGKILL at named fail points while a real guest lives through it all."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import libvirt
import pytest

from adapters.guest_image.builder import GuestImage
from adapters.libvirt import domains
from adapters.libvirt_host.host import EmbeddedHost
from api.application import fail_points as failpoints
from domain.compute.events import VpsDeleted, VpsRequested, VpsRunning
from domain.exec.events import JobFinished, JobRequested
from domain.ids import VpsId
from tests.folders import make_folder
from tests.journeys.killed_process import Customer, KilledProcess, ServiceDied
from tests.journeys.minutes import check_minutes, minutes_of

pytestmark = [pytest.mark.host, pytest.mark.slow]

FUNDS_MICROS = 10_000_000
A_HANDFUL = {
    "create:after-append",
    "prepare:after-host",
    "launch:after-host",
    "login:after-guest",
    "tick:before-append",
    "exec:after-guest",
    "stop:after-append",
    "halt:after-host",
    "start:before-append",
    "take-snapshot:after-host",
    "restore:after-host",
    "remove:after-host",
}
"""Killed at in every run of the tests; at all there are with LITEVPS_LONG."""
CHOSEN = set(failpoints.ALL) if os.environ.get("LITEVPS_LONG") else A_HANDFUL

IN_TROUBLE = ("fail", "differ", "expire")
"""What is only recorded where something goes wrong with a guest, or nobody deletes it."""
NEW_HOST_KEY = (
    "cd /etc/ssh && ssh-keygen -q -t ed25519 -N '' -f new"
    " && mv new ssh_host_ed25519_key && mv new.pub ssh_host_ed25519_key.pub"
)

Leg = Callable[[], None]


class Journey:
    """One VPS from its request to its removal, over as many lives of the service as there are fail points."""

    def __init__(self, service: KilledProcess) -> None:
        self.service = service
        self.customer = Customer(service)
        self.met: list[str] = []

    def kill_at(self, leg: Leg, *steps: str, meanwhile: Leg | None = None) -> None:
        """Go a leg of the journey over and over, killed at each chosen fail point of these steps; then to its end.

        ``meanwhile``: done while the service is down, before it is started again.
        """
        chosen = [name for name in failpoints.ALL if name in CHOSEN and {name, name.partition(":")[0]} & set(steps)]
        for name in chosen:
            self.service.stop()
            if meanwhile is not None:
                meanwhile()
            try:
                self.service.start(fail_at=name)
                leg()
                self.service.await_death()
            except ServiceDied:
                self.met.append(name)
        if chosen:
            self.service.stop()
            self.service.start()
        leg()

    def create(self) -> None:
        self.customer.create("create")
        self.customer.await_state("running")

    def exec(self) -> None:
        done = self.customer.exec("cat >> /root/file; cat /root/file", "exec", stdin="once\n")
        assert (done["exit_code"], done["stdout"]) == (0, "once\n")

    def rename(self) -> None:
        self.customer.rename("renamed")

    def snapshot(self) -> None:
        self.customer.exec("echo old > /root/word", "old")
        self.customer.take_snapshot("before", "snapshot")

    def restore(self) -> None:
        self.customer.exec("echo new > /root/word; sync", "new")
        self.customer.change("snapshots/before/restore", "restore")
        self.customer.await_state("running")
        assert self.customer.exec("cat /root/word", "word")["stdout"] == "old\n"

    def delete_snapshot(self) -> None:
        self.customer.delete_snapshot("before")
        assert self.customer.snapshots() == []

    def reboot(self) -> None:
        self.customer.change("restart", "restart")
        self.customer.await_state("running")

    def halt(self) -> None:
        self.customer.change("stop", "stop")
        self.customer.await_state("stopped")

    def begin_again(self) -> None:
        self.customer.change("start", "start")
        self.customer.await_state("running")

    def found_off(self) -> None:
        self.customer.await_state("stopped")

    def fail(self) -> None:
        self.customer.change("restart", "another key")
        self.customer.await_state("error")

    def expire(self) -> None:
        self.customer.let_expire()
        for _ in range(300):
            self.service.check_alive()
            if self.customer.look() is None:
                return self._await_nothing_on_host()
            time.sleep(0.5)
        raise AssertionError("its time is over, and it is still there")

    def remove(self) -> None:
        self.customer.delete()
        assert self.customer.look() is None
        self._await_nothing_on_host()

    def _await_nothing_on_host(self) -> None:
        for _ in range(300):
            self.service.check_alive()
            seen = self.service.run("host", "status")
            assert seen.returncode == 0, seen.stderr
            if self.customer.vps_id not in seen.stdout:
                return
        raise AssertionError("something is left on the host")

    def domain_is(self, change: Callable[[libvirt.virConnect, VpsId], None]) -> None:
        """Do something to the guest behind the service's back."""
        home = self.service.home
        connection = libvirt.open(EmbeddedHost(home / "host", images=home / "images").uri)
        try:
            change(connection, VpsId(UUID(self.customer.vps_id)))
        finally:
            connection.close()


@pytest.fixture
def journey(guest_image: GuestImage, free_port: int) -> Iterator[Journey]:
    folder = Path(tempfile.mkdtemp(prefix="litevps-kills-"))
    folder.chmod(0o711)
    home = folder / "home"
    home.mkdir(mode=0o711)
    (home / "images").symlink_to(guest_image.folder.parent)
    database = make_folder("litevps-kills-")
    (home / "postgres").symlink_to(database)
    service = KilledProcess(home, free_port)
    try:
        service.start()
        yield Journey(service)
    finally:
        service.close()
        print(service.log_tail())  # Shown by pytest where the test failed.
        shutil.rmtree(folder)
        shutil.rmtree(database)


def test_whatever_the_service_dies_of_the_vps_is_made_kept_billed_and_removed_once(journey: Journey) -> None:
    journey.customer.sign_up()

    journey.kill_at(journey.create, "create", "prepare", "launch", "login", "observe", "tick")
    journey.kill_at(journey.exec, "exec", "exec-end")
    journey.kill_at(journey.rename, "change")
    journey.kill_at(journey.snapshot, "snapshot", "take-snapshot")
    journey.kill_at(journey.restore, "restore-asked", "restore")
    journey.kill_at(journey.delete_snapshot, "delete-snapshot", "remove-snapshot")
    journey.kill_at(journey.reboot, "restart", "reboot")
    journey.kill_at(journey.halt, "stop", "halt")
    journey.kill_at(journey.begin_again, "start")
    assert journey.customer.exec("hostname", "its name")["stdout"] == "renamed\n"
    journey.kill_at(journey.remove, "delete", "remove")

    events = journey.service.events()
    assert journey.service.kills == len(journey.met)
    assert set(journey.met) == {name for name in CHOSEN if name.partition(":")[0] not in IN_TROUBLE}
    assert [type(event) for event in events].count(VpsRequested) == 1
    assert [type(event) for event in events].count(VpsDeleted) == 1
    assert [event.generation for event in events if isinstance(event, VpsRunning)] == [1, 2, 3]
    assert [type(event) for event in events if isinstance(event, JobRequested | JobFinished)] == [
        *(JobRequested, JobFinished) * 5
    ], "each command was run once"
    minutes = minutes_of(UUID(journey.customer.vps_id), events)
    # Killed right after its host was asked, nobody can say when a guest that is restored went off.
    check_minutes(minutes, waived_max=1)
    assert len(minutes.paid) >= 1
    verified = journey.service.run("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.skipif(not os.environ.get("LITEVPS_LONG"), reason="with LITEVPS_LONG")
def test_whatever_the_service_dies_of_a_guest_that_went_its_own_way_is_dealt_with(journey: Journey) -> None:
    journey.customer.sign_up()
    journey.create()

    def dies(connection: libvirt.virConnect, vps_id: VpsId) -> None:
        domains.force_off(connection, vps_id)

    def lives(connection: libvirt.virConnect, vps_id: VpsId) -> None:
        domain = domains.find(connection, vps_id)
        assert domain is not None
        if not domain.isActive():
            domain.create()

    recorded, stopped = ("differ:before-append", "differ:after-append"), ("differ:before-host", "differ:after-host")
    journey.kill_at(journey.found_off, *recorded, meanwhile=lambda: journey.domain_is(dies))
    journey.kill_at(journey.found_off, *stopped, meanwhile=lambda: journey.domain_is(lives))
    journey.begin_again()
    assert journey.customer.exec(NEW_HOST_KEY, "new key")["exit_code"] == 0
    journey.kill_at(journey.fail, "fail")
    journey.kill_at(journey.expire, "expire")

    assert journey.service.kills == len(journey.met) == 8
    check_minutes(minutes_of(UUID(journey.customer.vps_id), journey.service.events()), waived_max=1)

    assert journey.service.run("audit", "verify").returncode == 0
