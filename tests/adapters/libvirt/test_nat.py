"""Real guests behind the host's filter: thirty targets for each policy, tried from inside."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import libvirt
import msgspec
import pytest

from adapters.guest_image.builder import GuestImage
from adapters.host_network.network import NatNetwork
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.egress import NONE, OPEN, Egress, allowing
from domain.compute.ports import GuestAddress, GuestSpec, GuestUnreachable
from domain.ids import VpsId
from tests.contracts.guest_shells import job
from tests.guests import guest_spec, hypervisor_on, new_key_pair, remove_host
from tests.networks import (
    ALLOWED,
    ANOTHER_PUBLIC,
    DENIED_BY_OPERATOR,
    EVIL,
    HOST_ADDRESS,
    HOST_PUBLIC,
    IPV6_HOST,
    IPV6_WORLD,
    NETWORK,
    PRIVATE,
    RESOLVERS,
    ROUTER,
    World,
    make_world,
)

pytestmark = [pytest.mark.anyio, pytest.mark.host, pytest.mark.slow]

GATEWAY = str(NETWORK[1])
PORT = 22_101
PUBLIC = {(ALLOWED, 80), (ALLOWED, 443), (EVIL, 80), (ANOTHER_PUBLIC, 80)}
REFUSED_TO_ALL = {
    *((address, 80) for address in (*PRIVATE, DENIED_BY_OPERATOR, ROUTER, IPV6_WORLD, IPV6_HOST)),
    *((address, port) for address in (HOST_ADDRESS, HOST_PUBLIC, GATEWAY) for port in (22, 8000)),
    *((ALLOWED, port) for port in (25, 465, 587, 853)),
    *((resolver, 853) for resolver in RESOLVERS),
}
TARGETS = PUBLIC | REFUSED_TO_ALL
LISTED = allowing(["allowed.test", ANOTHER_PUBLIC])
TRY = """
b=/bin/busybox
try() {{ $b timeout 10 $b nc $1 $2 </dev/null 2>/dev/null | $b grep -q 'I see' && echo "$1 $2"; }}
for target in {targets}; do try ${{target%/*}} ${{target#*/}} & done; wait
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield from make_world()


@pytest.fixture(scope="module")
def bridged_host(world: World, guest_image: GuestImage, accelerated: bool) -> Iterator[EmbeddedHost]:
    """Give a host of our own whose guests hang on a bridge, in the network namespace of the world's host."""
    folder = Path(tempfile.mkdtemp(prefix=f"litevps-host-{os.getpid()}-"))
    host = EmbeddedHost(
        folder / "host",
        images=guest_image.folder.parent,
        kvm=accelerated,
        bridged=True,
        namespace=world.host.path,
    )
    world.network()
    host.ensure_started()
    yield host
    remove_host(host, folder)


@pytest.fixture(scope="module")
def network(world: World) -> NatNetwork:
    return world.network()


@pytest.fixture(scope="module")
def natted(
    bridged_host: EmbeddedHost, network: NatNetwork, guest_image: GuestImage, accelerated: bool
) -> Iterator[LibvirtHypervisor]:
    """Give the hypervisor of the bridged host."""
    hypervisor = hypervisor_on(
        bridged_host, guest_image, accelerated=accelerated, network=network, ssh_host=HOST_ADDRESS
    )
    yield hypervisor
    asyncio.run(hypervisor.close())


class Guest(msgspec.Struct, frozen=True):
    """A guest, and the service's way into it."""

    spec: GuestSpec
    address: GuestAddress
    shell: SshGuestShell

    async def run(self, command: str, timeout_s: int = 60) -> str:
        """Run a command in the guest and return what it wrote."""
        outcome = await self.shell.run(self.address, job(command, timeout_s=timeout_s))
        return outcome.stdout.text.decode()

    async def reached(self, targets: set[tuple[str, int]] = TARGETS) -> set[tuple[str, int]]:
        """Return which targets answered."""
        script = TRY.format(targets=" ".join(f"{address}/{port}" for address, port in sorted(targets)))
        lines = (await self.run(script)).splitlines()
        return {(address, int(port)) for address, port in (line.split() for line in lines)}

    async def asked(self, name: str, server: str = GATEWAY) -> str:
        """Return what the guest is told when it asks a name server: "" if it is told nothing."""
        told = await self.run(f"/bin/busybox timeout 6 /bin/busybox nslookup -type=a {name} {server} 2>&1")
        answer = told.partition("Name:")[2]
        return "NXDOMAIN" if "NXDOMAIN" in told else " ".join(answer.split())


@pytest.fixture(scope="module")
def guests(natted: LibvirtHypervisor, network: NatNetwork) -> Iterator[tuple[Guest, Guest]]:
    """Give two guests that answer, on ports beside each other."""
    keys = new_key_pair()

    async def boot() -> tuple[Guest, Guest]:
        shell = SshGuestShell(keys.private, dial=lambda address: network.dial(address.ssh_port))
        made = []
        for port in (PORT, PORT + 1):
            spec = guest_spec(keys, keys, ssh_port=port, egress=OPEN)
            await natted.ensure_prepared(spec)
            await natted.ensure_running(spec)
            address = GuestAddress(spec.vps_id, HOST_ADDRESS, port, keys.public)
            made.append(Guest(spec, address, shell))
        for guest in made:
            await until_it_answers(guest)
        await shell.close()
        return made[0], made[1]

    made = asyncio.run(boot())
    yield made
    for guest in made:
        asyncio.run(natted.ensure_removed(guest.spec.vps_id))


async def until_it_answers(guest: Guest) -> None:
    """Wait until the service can log in."""
    with anyio.fail_after(90):
        while True:
            try:
                return await guest.shell.login(guest.address)
            except GuestUnreachable:
                await asyncio.sleep(0.2)


@pytest.fixture
async def guest(guests: tuple[Guest, Guest], network: NatNetwork) -> AsyncIterator[Guest]:
    """Give the first guest, with connections of this test's own."""
    shell = SshGuestShell(
        guests[0].shell._client_key.export_private_key().decode(),
        dial=lambda address: network.dial(address.ssh_port),
    )
    yield msgspec.structs.replace(guests[0], shell=shell)
    await shell.close()


async def change(natted: LibvirtHypervisor, guest: Guest, egress: Egress) -> None:
    """Have another policy in force while the guest runs."""
    await natted.ensure_egress(msgspec.structs.replace(guest.spec, egress=egress))


async def test_a_guest_gets_its_address_and_the_service_is_let_in(guest: Guest) -> None:
    assert f"inet {NETWORK[PORT]}/16" in await guest.run("ip -4 addr show eth0")
    assert await guest.run("cat /etc/resolv.conf") == f"nameserver {GATEWAY}\n"


async def test_an_open_guest_reaches_the_internet_and_nothing_else(natted: LibvirtHypervisor, guest: Guest) -> None:
    await change(natted, guest, OPEN)
    assert len(TARGETS) >= 30
    assert await guest.reached() == PUBLIC
    assert ALLOWED in await guest.asked("allowed.test")
    assert ALLOWED in await guest.asked("allowed.test", server="9.9.9.9"), "whoever is asked, our resolver answers"
    assert "10.9.9.9" not in await guest.asked("rebind.test")


async def test_a_guest_with_no_way_out_reaches_nothing(natted: LibvirtHypervisor, guest: Guest) -> None:
    await change(natted, guest, NONE)
    assert await guest.reached() == set()
    assert await guest.asked("allowed.test") == ""
    assert await guest.run("echo still here") == "still here\n"


async def test_a_guest_with_a_list_reaches_what_is_on_it(natted: LibvirtHypervisor, guest: Guest) -> None:
    await change(natted, guest, LISTED)
    assert await guest.reached() == {(ANOTHER_PUBLIC, 80)}
    assert ALLOWED in await guest.asked("allowed.test")
    assert await guest.reached() == {(ANOTHER_PUBLIC, 80), (ALLOWED, 80), (ALLOWED, 443)}
    assert await guest.asked("evil.test") == "NXDOMAIN"


async def test_no_other_guest_is_reached_and_none_is_robbed(
    natted: LibvirtHypervisor, guests: tuple[Guest, Guest], guest: Guest, world: World
) -> None:
    await change(natted, guest, OPEN)
    other = str(NETWORK[PORT + 1])
    assert world.host.reached({("tcp", other, 22)}) == {("tcp", other, 22)}, "it was there to be reached"
    ways = {(other, 22), (GATEWAY, PORT + 1), (HOST_ADDRESS, PORT + 1), (HOST_PUBLIC, PORT + 1)}
    assert await guest.reached(ways) == set()
    stealing = f"""
    b=/bin/busybox; target={EVIL}
    try() {{ $b timeout 3 $b nc $target 80 </dev/null 2>/dev/null | $b grep -c see; }}
    $b ip addr add {other}/32 dev eth0; $b ip route replace default via {GATEWAY} src {other}; try >/tmp/address
    mac=$($b cat /sys/class/net/eth0/address)
    $b ip link set eth0 address {_mac_of(world, PORT + 1)}; try >/tmp/card
    $b timeout 2 $b arping -c 2 -I eth0 {GATEWAY} | $b grep -c 'Unicast reply' >/tmp/arp
    $b ip link set eth0 address $mac; $b ip addr del {other}/32 dev eth0
    $b ip route replace default via {GATEWAY}; $b arping -U -c 1 -I eth0 {NETWORK[PORT]} >/dev/null
    """
    await guest.run(f"setsid sh -c '{stealing.replace(chr(39), chr(34))}' >/dev/null 2>&1 & sleep 0.1")
    await asyncio.sleep(12)
    assert await guest.run("cat /tmp/address /tmp/card /tmp/arp") == "0\n0\n0\n"
    assert world.host.reached({("tcp", other, 22)}) == {("tcp", other, 22)}, "its owner goes on"
    assert await guest.reached() == PUBLIC


async def test_from_outside_only_ssh_gets_in(guest: Guest, world: World) -> None:
    asked = {("tcp", HOST_ADDRESS, port) for port in (PORT, PORT + 1)}
    assert world.internet.reached(asked) == asked


async def test_what_guests_are_kept_from_is_told(natted: LibvirtHypervisor, guest: Guest) -> None:
    await change(natted, guest, OPEN)
    told: set[tuple[VpsId, str, int]] = set()
    end = time.monotonic() + 30
    # What the guest tried in the tests before may have used up the sixty a minute that are told of it.
    while (guest.spec.vps_id, "10.9.9.9", 5432) not in told and time.monotonic() < end:
        await guest.reached({("10.9.9.9", 5432)})
        told |= {(each.vps_id, each.target, each.port) for each in await natted.take_denials()}
    assert (guest.spec.vps_id, "10.9.9.9", 5432) in told


async def test_libvirtd_killed_and_tables_flushed_all_is_as_it_was(
    natted: LibvirtHypervisor, guest: Guest, world: World, bridged_host: EmbeddedHost
) -> None:
    await change(natted, guest, OPEN)
    os.kill(int((bridged_host.socket.parent / "libvirtd.pid").read_text()), 9)
    world.host.run("nft", "flush", "ruleset")
    await natted.ensure_network()
    assert await guest.reached() == PUBLIC


async def test_nothing_is_left_of_a_guest_that_is_off(
    natted: LibvirtHypervisor, guests: tuple[Guest, Guest], network: NatNetwork
) -> None:
    other = guests[1]
    await natted.ensure_off(other.spec.vps_id, grace_s=0)
    left = network.inventory()
    assert left.ports == {f"lvps{PORT}"}
    assert str(NETWORK[PORT + 1]) not in left.bound | left.policies

    again = msgspec.structs.replace(other.spec, generation=2, ssh_port=PORT + 2)
    await natted.ensure_running(again)
    assert network.inventory().kept == {PORT, PORT + 2}
    # Behind our back, with its own definition: it is let in nowhere once it was off.
    await natted.ensure_off(other.spec.vps_id, grace_s=0)
    connection = libvirt.open(natted._connection._uri)
    connection.lookupByUUIDString(str(other.spec.vps_id)).create()
    connection.close()
    await natted.ensure_network()
    assert network.inventory().bound == {str(NETWORK[PORT])}


def _mac_of(world: World, port: int) -> str:
    entry = (world.folder / "network" / "guests" / f"{port}.json").read_text()
    return str(msgspec.json.decode(entry)["mac"])
