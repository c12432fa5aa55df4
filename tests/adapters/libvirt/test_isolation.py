"""Guests are strangers: tried from inside one, nothing of the host, of other guests or of the world answers."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from tests.adapters.libvirt.conftest import Boot, BootedGuest

pytestmark = [pytest.mark.anyio, pytest.mark.host]

HOST_BY_SLIRP = "10.0.2.2"
"""QEMU's name for the host's 127.0.0.1 where guests are let out."""

TRY = """
try() {{ timeout 4 bash -c 'exec 3<>/dev/tcp/'$1/$2 2>/dev/null && echo "$1 $2"; }}
for target in {targets}; do try ${{target%/*}} ${{target#*/}} & done; wait
"""


def reached(guest: BootedGuest, *targets: tuple[str, int]) -> set[tuple[str, int]]:
    """Return which targets took a TCP connection from inside the guest."""
    script = TRY.format(targets=" ".join(f"{address}/{port}" for address, port in targets))
    lines = guest.login.run(script, timeout_s=60).stdout.splitlines()
    return {(address, int(port)) for address, port in (line.split() for line in lines)}


def host_addresses() -> set[str]:
    """Return the host's own IPv4 addresses (proc(5), fib_trie)."""
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", Path("/proc/net/fib_trie").read_text())
    return set(found) - {"127.0.0.1"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on every address of the host, as a careless API or PostgreSQL would."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_the_check_can_succeed(guest: BootedGuest, listener: socket.socket) -> None:
    assert reached(guest, ("127.0.0.1", 22), ("10.0.2.15", 22)) == {("127.0.0.1", 22), ("10.0.2.15", 22)}
    for address in ("127.0.0.1", *host_addresses()):
        socket.create_connection((address, listener.getsockname()[1]), timeout=2).close()
        listener.accept()[0].close()


def test_no_port_of_the_host_is_reached(guest: BootedGuest, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    addresses = {HOST_BY_SLIRP, "10.0.2.1", "10.0.2.255", *host_addresses()}
    assert reached(guest, *((address, port) for address in addresses)) == set()
    with pytest.raises(TimeoutError):
        listener.accept()


def test_no_well_known_port_of_the_host_is_reached(guest: BootedGuest) -> None:
    ports = (22, 25, 53, 80, 111, 443, 5432, 8000, 16509, 16514)
    assert reached(guest, *((HOST_BY_SLIRP, port) for port in ports)) == set()


async def test_no_other_guest_is_reached(guest: BootedGuest, booted: Boot) -> None:
    other = await booted()
    addresses = (HOST_BY_SLIRP, "10.0.2.16", *host_addresses())
    ports = (other.spec.ssh_port, guest.spec.ssh_port)
    assert reached(guest, *((address, port) for address in addresses for port in ports)) == set()
    assert other.login.run("true").returncode == 0, "it was there to be reached"


def test_no_private_address_and_nothing_in_the_world_is_reached(guest: BootedGuest) -> None:
    targets = [(address, 80) for address in ("10.0.0.1", "172.17.0.1", "192.168.0.1", "169.254.169.254")]
    targets += [("1.1.1.1", 443), ("8.8.8.8", 53), ("10.0.2.3", 53), ("fec0::2", 80)]
    assert reached(guest, *targets) == set()


def test_nobody_answers_questions_for_names(guest: BootedGuest) -> None:
    query = r"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06debian\x03org\x00\x00\x01\x00\x01"
    for server in ("10.0.2.3", HOST_BY_SLIRP, "8.8.8.8"):
        ask = f"exec 3<>/dev/udp/{server}/53; printf '{query}' >&3; timeout 3 head -c 1 <&3 | wc -c"
        assert guest.login.run(ask).stdout.strip() == "0"
    assert guest.login.run("ip -4 addr show eth0").stdout.count("10.0.2.15"), "UDP as such works: it brought this"


def test_no_datagram_gets_out(guest: BootedGuest) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("0.0.0.0", 0))
        ear.settimeout(1.0)
        port = ear.getsockname()[1]
        for address in (HOST_BY_SLIRP, *host_addresses()):
            guest.login.run(f"echo hello >/dev/udp/{address}/{port}")
        with pytest.raises(TimeoutError):
            ear.recv(16)


def test_no_device_leads_into_the_host(
    guest: BootedGuest, hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost
) -> None:
    connection = libvirt.open(libvirt_host.uri)
    xml = connection.lookupByUUIDString(str(guest.spec.vps_id)).XMLDesc()
    connection.close()
    for way in ("channel", "filesystem", "vsock", "hostdev", "redirdev", "interface", "graphics", "shmem", "tpm"):
        assert f"<{way} " not in xml
    assert guest.login.run("ls /dev/vport* /dev/vsock /dev/virtio-ports 2>/dev/null").stdout == ""


def test_ssh_is_offered_on_the_loopback_address_alone(guest: BootedGuest) -> None:
    for address in host_addresses():
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, guest.spec.ssh_port), timeout=2)
