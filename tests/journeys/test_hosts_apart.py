"""Two hosts elsewhere with VPSs on both: one loses its libvirtd, one is cut off, and all are paid for as they ran."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.guest_image.builder import GuestImage
from domain.compute.events import HostLost, HostReturned, VpsHostFound, VpsHostLost, VpsStopped
from domain.wallet.events import MinutesWaived
from tests.folders import make_folder
from tests.hosts_apart import HostApart, hosts_apart
from tests.journeys.killed_process import Customer, KilledProcess
from tests.ports import free_port

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
]

PATIENCE_S = 180.0


@pytest.fixture
def apart(guest_image: GuestImage) -> Iterator[tuple[list[HostApart], Path]]:
    with hosts_apart(2, guest_image) as found:
        yield found


@pytest.fixture
def service(
    apart: tuple[list[HostApart], Path], guest_image: GuestImage, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KilledProcess]:
    hosts, keys = apart
    monkeypatch.setenv("LITEVPS_COMPUTE", ",".join(host.uri for host in hosts))
    monkeypatch.setenv("LITEVPS_HOST_SSH_KEY_FILE", str(keys / "key"))
    monkeypatch.setenv("LITEVPS_HOST_KNOWN_HOSTS_FILE", str(keys / "known_hosts"))
    folder = make_folder()
    home = folder / "home"
    home.mkdir(mode=0o711)
    (home / "images").symlink_to(guest_image.folder.parent)
    service = KilledProcess(home, free_port())
    try:
        service.start()
        yield service
    finally:
        service.close()
        shutil.rmtree(folder)


def test_one_host_fails_and_the_other_goes_on(apart: tuple[list[HostApart], Path], service: KilledProcess) -> None:
    hosts, _ = apart
    assert service.run("settings", "set", "host_lost_after_minutes", "1").returncode == 0
    customers = [Customer(service)]
    customers[0].sign_up()
    _eventually(lambda: len(service.run("host", "list").stdout.splitlines()) == 3, "both hosts are registered")
    for number in range(4):
        customer = customers[0] if number == 0 else customers[0].another()
        customer.create(f"vps-{number}")
        customers[number:] = [customer]
    for customer in customers:
        customer.await_state("running")
    on = {host.address: [one for one in customers if _host_of(one) == host.address] for host in hosts}
    assert [len(on[host.address]) for host in hosts] == [2, 2], "they are spread"

    first, second = hosts
    first.kill_libvirtd()
    done = on[second.address][0].exec("hostname", "while one has no libvirtd")
    assert done["exit_code"] == 0
    first.start_libvirt()
    second.cut_off()
    done = on[first.address][0].exec("hostname", "while the other is cut off")
    assert done["exit_code"] == 0, "it has a libvirtd again, and its guests never went off"
    _eventually(lambda: len(_of(service, VpsHostLost)) == 2, "those on the host that is cut off are told so")
    paid_before = _paid(on[first.address][0])
    _eventually(lambda: _paid(on[first.address][0]) > paid_before, "the other's minutes go on")

    second.bring_back()
    _eventually(lambda: len(_of(service, VpsHostFound)) == 2, "they are found")
    assert len(_of(service, HostLost)) == len(_of(service, HostReturned)) == 1
    for customer in customers:
        vps = customer.look()
        assert vps is not None
        assert vps["state"] == "running"
        assert customer.exec("true", f"at the end of {customer.vps_id}")["exit_code"] == 0
    assert _of(service, VpsStopped) == []
    assert _of(service, MinutesWaived) == [], "all of them ran all the time, and two looks prove it"
    for customer in customers:
        customer.delete()
    _eventually(lambda: not any(list((host.data / "guests").iterdir()) for host in hosts), "nothing is left")


def _host_of(customer: Customer) -> str:
    vps = customer.look()
    assert vps is not None
    return str(vps["ssh_host"])


def _paid(customer: Customer) -> int:
    vps = customer.look()
    assert vps is not None
    return int(vps["metered_minutes"])


def _of(service: KilledProcess, kind: type[object]) -> list[object]:
    return [event for event in service.events() if isinstance(event, kind)]


def _eventually(true: Callable[[], bool], told: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, told
        time.sleep(0.5)
