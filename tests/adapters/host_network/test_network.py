"""Guests on a bridge reach what their policy lets them, tried against an internet that really has the rest."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest

from adapters.host_network.network import LET_IN_AHEAD_S, NatNetwork
from adapters.host_network.plan import BRIDGE, entry_of
from domain.compute.egress import NONE, OPEN, Egress, allowing
from domain.compute.ports import GuestSpec, NetworkUnavailable
from tests.guests import KeyPair, guest_spec
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
    PUBLIC,
    RESOLVERS,
    ROUTER,
    Namespace,
    Target,
    World,
    make_world,
    tcp,
    wait_until,
)

pytestmark = pytest.mark.slow

GATEWAY = str(NETWORK[1])
LISTED = allowing(["allowed.test", "*.below.test", ANOTHER_PUBLIC, "rebind.test", "cgnat.test"])
NOBODY = KeyPair("", "ssh-ed25519 AAAA")
FORBIDDEN = (*PRIVATE, DENIED_BY_OPERATOR, ROUTER, HOST_ADDRESS, HOST_PUBLIC, GATEWAY, IPV6_HOST, IPV6_WORLD)
EVERYTHING = tcp(*PUBLIC, *RESOLVERS, *FORBIDDEN)
LEASE = """
# A DHCP client (RFC 2131): discover, request; tells address, router, name server.
import os, socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", "")); xid = os.urandom(4)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1); s.setsockopt(socket.SOL_SOCKET, 25, b"eth0")
s.settimeout(3); s.bind(("", 68))
def ask(kind, options=b""):
    head = struct.pack("!4B4s2H16x", 1, 1, 6, 0, xid, 0, 0x8000) + mac.ljust(16, b"\\0") + bytes(192)
    s.sendto(head + b"\\x63\\x82\\x53\\x63" + bytes((53, 1, kind)) + options + b"\\xff", ("255.255.255.255", 67))
    data = s.recv(1500); found, at = {}, 240
    while data[at] != 255:
        if data[at]: found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]; at += 2 + data[at + 1]
        else: at += 1
    return data[16:20], found
offered, _ = ask(1)
given, options = ask(3, bytes((50, 4)) + offered)
assert options[53] == b"\\x05", options
print(*(socket.inet_ntoa(each[:4]) for each in (given, options[3], options[6])))
"""
_ports = iter(range(22_000, 23_000))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    yield from make_world()


@pytest.fixture
def network(world: World) -> NatNetwork:
    """Give the network, up; whatever a test did to it is mended before the next."""
    return world.network()


class Guest:
    """A guest that is a namespace at the bridge, and the spec that it was let in by."""

    def __init__(self, world: World, network: NatNetwork, egress: Egress) -> None:
        self.spec: GuestSpec = guest_spec(NOBODY, NOBODY, ssh_port=next(_ports), egress=egress)
        self.address = str(NETWORK[self.spec.ssh_port])
        self._network = network
        card = network.ensure_guest(self.spec)
        self.port, self.mac = card.port, card.mac
        self.inside: Namespace = world.plug_in(card.port, card.mac, self.address)
        network.ensure_isolated(card)

    def reached(self, targets: set[Target]) -> set[Target]:
        """Return which targets answer."""
        return self.inside.reached(targets)

    def reaches(self, *addresses: str) -> bool:
        """Return whether each of some addresses answers; or, told of one, whether it does."""
        return self.reached(tcp(*addresses)) == tcp(*addresses)

    def change(self, egress: Egress) -> None:
        """Have another policy in force."""
        self.spec = guest_spec(NOBODY, NOBODY, vps_id=self.spec.vps_id, ssh_port=self.spec.ssh_port, egress=egress)
        self._network.ensure_guest(self.spec)

    def ask(self, *names: str, kind: str = "A", server: str = GATEWAY, by: str = "udp") -> dict[str, list[str]]:
        """Return the outcome of each question, and the addresses answered."""
        script = f"""
import dns.message, dns.query, dns.rcode
for name in {names!r}:
    try:
        a = dns.query.{by}(dns.message.make_query(name, {kind!r}), {server!r}, timeout=1)
        print(name, dns.rcode.to_text(a.rcode()), *(r.to_text() for s in a.answer for r in s if r.rdtype == 1))
    except Exception as e:
        print(name, type(e).__name__)
"""
        lines = self.inside.run(sys.executable, "-c", script).splitlines()
        return {name: told for name, *told in map(str.split, lines)}


@pytest.fixture
def guest(world: World, network: NatNetwork) -> Iterator[Guest]:
    """Give a guest that may reach the internet."""
    guest = Guest(world, network, OPEN)
    yield guest
    network.ensure_no_guest(guest.spec.vps_id)


def test_the_world_really_has_what_guests_must_not_reach(world: World, network: NatNetwork) -> None:
    assert world.host.reached(EVERYTHING) == EVERYTHING
    assert world.host.reached({("udp", address, 7) for address in PRIVATE}) == {("udp", a, 7) for a in PRIVATE}


def test_an_open_guest_reaches_the_internet_and_nothing_else(guest: Guest, world: World) -> None:
    assert guest.reached(EVERYTHING) == tcp(*PUBLIC, *RESOLVERS)
    datagrams = {("udp", address, 7) for address in (*PUBLIC, *PRIVATE, HOST_ADDRESS, HOST_PUBLIC, GATEWAY)}
    assert guest.reached(datagrams) == {("udp", address, 7) for address in PUBLIC}


def test_mail_is_off_and_so_are_other_resolvers(guest: Guest) -> None:
    ports = (22, 25, 443, 465, 587, 853, 5432)
    reached = guest.reached({("tcp", ALLOWED, port) for port in ports})
    assert reached == {("tcp", ALLOWED, port) for port in (22, 443, 5432)}


def test_an_operator_may_let_mail_out(world: World, network: NatNetwork, guest: Guest) -> None:
    lenient = world.network(smtp=True)
    assert guest.reached(tcp(ALLOWED, port=25)) == tcp(ALLOWED, port=25)
    world.network()
    assert lenient is not network
    assert guest.reached(tcp(ALLOWED, port=25)) == set()


def test_a_guest_with_no_way_out_reaches_nothing_and_asks_nobody(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, NONE)
    assert guest.reached(EVERYTHING) == set()
    assert guest.ask("secret-1.test") == {"secret-1.test": ["Timeout"]}
    assert guest.ask("secret-2.test", server=RESOLVERS[0]) == {"secret-2.test": ["Timeout"]}
    assert "secret" not in world.asked()


def test_a_guest_with_a_list_reaches_what_is_on_it_once_its_name_was_asked_for(
    world: World, network: NatNetwork
) -> None:
    guest = Guest(world, network, LISTED)
    assert guest.reached(EVERYTHING) == tcp(ANOTHER_PUBLIC)
    assert guest.ask("allowed.test", "ALLOWED.test") == {
        "allowed.test": ["NOERROR", ALLOWED],
        "ALLOWED.test": ["NOERROR", ALLOWED],
    }
    assert guest.reached(EVERYTHING) == tcp(ANOTHER_PUBLIC, ALLOWED)
    assert guest.reached(tcp(ALLOWED, port=25)) == set()


def test_what_is_off_the_list_is_no_name_and_is_asked_of_nobody(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, LISTED)
    off = ("evil.test", "x.allowed.test", "my-secret.evil.test", "below.test")
    for by in ("udp", "tcp"):
        assert guest.ask(*off, by=by) == {name: ["NXDOMAIN"] for name in off}
    assert guest.ask("evil.test", server=RESOLVERS[0]) == {"evil.test": ["NXDOMAIN"]}
    assert guest.ask("www.below.test", by="tcp") == {"www.below.test": ["NOERROR", ALLOWED]}
    assert guest.ask("allowed.test", kind="TXT") == {"allowed.test": ["NOERROR"]}
    for name in off:
        assert f" {name} from" not in world.asked()
    assert "TXT" not in world.asked()
    assert guest.reached(tcp(EVIL)) == set()


def test_a_name_leads_into_no_private_network_listed_or_not(world: World, network: NatNetwork, guest: Guest) -> None:
    listed = Guest(world, network, LISTED)
    for asking in (guest, listed):
        assert asking.ask("rebind.test")["rebind.test"][1:] == []
        asking.ask("cgnat.test")
        assert asking.reached(tcp("10.9.9.9", "100.64.1.1", "169.254.169.254")) == set()
    assert listed.ask("cgnat.test")["cgnat.test"][1:] == []


def test_a_change_of_policy_ends_what_it_does_not_allow_and_keeps_what_it_does(
    world: World, network: NatNetwork, guest: Guest
) -> None:
    talk = """
import socket, sys
s = [socket.create_connection((a, 80), 2) for a in sys.argv[1:]]
for each in s: each.settimeout(1); each.recv(100)
print("ready", flush=True)
while sys.stdin.readline():
    told = []
    for each in s:
        try: each.sendall(b"on?\\n"); told.append(each.recv(100) == b"on?\\n")
        except OSError: told.append(False)
    print(told, flush=True)
"""
    program = subprocess.Popen(
        ("nsenter", f"--net={guest.inside.path}", "--", sys.executable, "-I", "-c", talk, EVIL, ANOTHER_PUBLIC),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    into, out_of = program.stdin, program.stdout
    assert into is not None
    assert out_of is not None

    def talks() -> str:
        into.write("\n")
        return out_of.readline().strip()

    try:
        assert out_of.readline() == "ready\n"
        assert talks() == "[True, True]"
        guest.change(LISTED)
        assert talks() == "[False, True]"
        guest.change(NONE)
        assert talks() == "[False, False]"
        assert guest.reached(EVERYTHING) == set()
    finally:
        program.kill()
        program.communicate()


def test_datagrams_that_a_new_policy_refuses_stay_refused_however_often_they_are_sent(
    world: World, network: NatNetwork
) -> None:
    guest = Guest(world, network, OPEN)
    talk = f"""
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5); s.connect(({EVIL!r}, 7))
def asked():
    for _ in range(4):
        try: s.send(b"on?"); return s.recv(10) == b"on?"
        except OSError: pass
    return False
print(asked(), flush=True); sys.stdin.readline(); print(asked(), flush=True)
"""
    program = subprocess.Popen(
        ("nsenter", f"--net={guest.inside.path}", "--", sys.executable, "-I", "-c", talk),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdout.readline() == "True\n"
    guest.change(LISTED)
    assert program.communicate("\n", timeout=20)[0] == "False\n"


def test_nothing_goes_out_under_another_guest_s_address_though_no_answer_would_come_back(
    world: World, network: NatNetwork
) -> None:
    thief, owner = Guest(world, network, NONE), Guest(world, network, OPEN)
    thief.reached(tcp(EVIL))  # So that it knows its router, and need not ask for it in another's name.
    thief.inside.run("ip", "address", "add", f"{owner.address}/32", "dev", "eth0")
    send = f"""
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(({owner.address!r}, 4000))
for _ in range(100): s.sendto(b"x", ({EVIL!r}, 7))
"""
    before = received(owner)
    thief.inside.run(sys.executable, "-I", "-c", send)
    time.sleep(0.5)
    assert received(owner) - before < 50, "answers to what was sent in its name"
    owner.inside.run(sys.executable, "-I", "-c", send)
    wait_until(lambda: received(owner) - before >= 100)


def received(guest: Guest) -> int:
    """Return how many packets came to a guest."""
    (link,) = msgspec.json.decode(guest.inside.run("ip", "-j", "-s", "link", "show", "eth0"))
    return int(link["stats64"]["rx"]["packets"])


def test_a_stolen_card_is_given_no_address(world: World, network: NatNetwork) -> None:
    thief, owner = Guest(world, network, OPEN), Guest(world, network, OPEN)
    thief.inside.run("ip", "address", "flush", "dev", "eth0")
    thief.inside.run("ip", "link", "set", "eth0", "address", owner.mac)
    assert thief.inside.run(sys.executable, "-I", "-c", LEASE, owner.mac, check=False) == ""
    assert owner.inside.run(sys.executable, "-I", "-c", LEASE, owner.mac).startswith(owner.address)


def test_a_name_that_was_resolved_under_an_older_list_leads_nowhere(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, LISTED)
    guest.ask("allowed.test")
    assert guest.reaches(ALLOWED)
    guest.change(allowing(["evil.test"]))
    assert not guest.reaches(ALLOWED)
    guest.ask("evil.test")
    assert guest.reaches(EVIL)


def test_no_other_guest_is_reached(world: World, network: NatNetwork, guest: Guest) -> None:
    other = Guest(world, network, OPEN)
    world.listen(other.inside)
    service = world.host.reached(tcp(other.address, port=22))
    assert service == tcp(other.address, port=22), "it was there to be reached"
    ports = {("tcp", address, port) for address in (other.address, GATEWAY, HOST_ADDRESS) for port in (22, 80)}
    ports |= {("tcp", address, other.spec.ssh_port) for address in (GATEWAY, HOST_ADDRESS, HOST_PUBLIC)}
    assert guest.reached(ports) == set()


def test_a_stolen_address_or_card_gets_nowhere_and_its_owner_goes_on(world: World, network: NatNetwork) -> None:
    thief, owner = Guest(world, network, NONE), Guest(world, network, OPEN)
    thief.inside.run("ip", "address", "add", f"{owner.address}/32", "dev", "eth0")
    thief.inside.run("ip", "route", "replace", "default", "via", GATEWAY, "src", owner.address)
    assert thief.reached(EVERYTHING) == set()
    thief.inside.run("ip", "link", "set", "eth0", "address", owner.mac)
    thief.inside.run("ip", "route", "replace", "default", "via", GATEWAY, "src", owner.address, check=False)
    assert thief.reached(EVERYTHING) == set()
    assert owner.reaches(ALLOWED)
    neighbours = world.host.run("ip", "neighbour", "show", "dev", BRIDGE)
    assert f"{owner.address} lladdr {owner.mac}" in neighbours


def test_a_guest_gets_its_address_by_asking_and_the_next_one_of_its_port_gets_it_at_once(
    world: World, network: NatNetwork
) -> None:
    port = next(_ports)
    for _ in range(2):
        spec = guest_spec(NOBODY, NOBODY, ssh_port=port, egress=OPEN)
        card = network.ensure_guest(spec)
        inside = world.plug_in(card.port, card.mac, None)
        assert inside.run(sys.executable, "-I", "-c", LEASE, card.mac).split() == [str(NETWORK[port]), GATEWAY, GATEWAY]
        world.unplug(inside, card.port)
        network.ensure_no_guest(spec.vps_id)


def test_a_guest_s_port_leads_to_its_ssh_from_outside_and_from_the_host(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, NONE)
    world.listen(guest.inside)
    targets = tcp(HOST_ADDRESS, HOST_PUBLIC, port=guest.spec.ssh_port)
    assert world.internet.reached(targets) == targets
    assert world.host.reached(targets) == targets
    assert world.internet.reached(tcp(HOST_ADDRESS, port=next(_ports))) == set()
    # Its other ports are nobody's, also where somebody knows the way to its network.
    world.internet.run("ip", "route", "replace", str(NETWORK), "via", HOST_ADDRESS)
    assert world.internet.reached({("tcp", guest.address, port) for port in (22, 80)}) == set()
    world.internet.run("ip", "route", "del", str(NETWORK))


def test_what_is_flushed_or_ended_by_hand_is_back_after_a_look(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, NONE)
    world.host.run("nft", "flush", "ruleset")
    assert guest.reached(tcp(HOST_ADDRESS)) == tcp(HOST_ADDRESS), "nothing keeps it any more"
    network.ensure_up()
    assert guest.reached(EVERYTHING) == set()

    world.host.run("nft", "flush", "chain", "inet", "litevps", "to_host")
    world.host.run("bridge", "link", "set", "dev", guest.port, "isolated", "off")
    network.ensure_up()
    assert guest.reached(EVERYTHING) == set()
    assert "isolated on" in world.host.run("bridge", "-d", "link", "show", "dev", guest.port)

    for pid_file in (world.folder / "network" / "run").glob("*.pid"):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    network.ensure_up()
    guest.change(LISTED)
    assert guest.ask("allowed.test") == {"allowed.test": ["NOERROR", ALLOWED]}
    assert network.inventory().processes == 3


def test_what_another_process_finds_on_disk_it_puts_in_force(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, OPEN)
    world.host.run("nft", "delete", "table", "inet", "litevps")
    world.host.run("nft", "delete", "table", "bridge", "litevps")
    NatNetwork(world.plan()).ensure_up()
    assert guest.reached(EVERYTHING) == tcp(*PUBLIC, *RESOLVERS)


def test_nothing_is_left_of_a_guest_that_is_gone(world: World, network: NatNetwork) -> None:
    guest = Guest(world, network, LISTED)
    network.ensure_no_guest(guest.spec.vps_id)
    network.ensure_no_guest(guest.spec.vps_id)
    left = network.inventory()
    assert guest.spec.ssh_port not in left.kept
    assert guest.address not in left.bound | left.policies
    assert guest.mac not in world.host.run("nft", "list", "ruleset")
    assert not guest.reaches(ANOTHER_PUBLIC)


def test_guests_that_are_not_on_any_more_are_swept_but_not_those_about_to_start(
    world: World, network: NatNetwork
) -> None:
    on, off, starting = (Guest(world, network, OPEN) for _ in range(3))
    long_ago = time.time() - LET_IN_AHEAD_S - 1
    for each in (on, off):
        os.utime(world.folder / "network" / "guests" / f"{each.spec.ssh_port}.json", (long_ago, long_ago))
    network.ensure_only({on.spec.vps_id})
    assert {on.address, starting.address} <= network.inventory().bound
    assert off.address not in network.inventory().bound


def test_the_next_guest_of_a_port_is_the_only_one(world: World, network: NatNetwork) -> None:
    before = Guest(world, network, OPEN)
    after = guest_spec(NOBODY, NOBODY, ssh_port=before.spec.ssh_port, egress=NONE)
    network.ensure_guest(after)
    assert not before.reaches(ALLOWED)
    network.ensure_no_guest(before.spec.vps_id)
    assert before.address in network.inventory().bound, "it is the other's by now"


def test_what_guests_are_kept_from_is_told_once(world: World, network: NatNetwork) -> None:
    guest, listed = Guest(world, network, OPEN), Guest(world, network, LISTED)
    network.take_denials()
    guest.reached(tcp("10.9.9.9", port=5432))
    listed.ask("evil.test", "evil.test")
    time.sleep(2.5)
    told = {(each.vps_id, each.protocol, each.target, each.port) for each in network.take_denials()}
    assert (guest.spec.vps_id, "tcp", "10.9.9.9", 5432) in told
    assert (listed.spec.vps_id, "name", "evil.test", 0) in told
    assert network.take_denials() == ()


def test_a_scan_of_ports_is_refused_whole_and_told_in_part(world: World, network: NatNetwork, guest: Guest) -> None:
    network.take_denials()
    guest.reached({("tcp", "10.9.9.9", port) for port in range(1, 300)})
    told = [each for each in network.take_denials() if each.vps_id == guest.spec.vps_id]
    assert 10 <= len(told) <= 70


def test_two_services_cannot_share_one_bridge(world: World, network: NatNetwork) -> None:
    with pytest.raises(NetworkUnavailable, match="belongs to another"):
        NatNetwork(world.plan(folder=world.folder / "another")).ensure_up()


def specs_of_one_mark() -> tuple[GuestSpec, GuestSpec]:
    """Return two guests with lists that an owner has chosen so that their marks meet and their networks overlap."""
    first, second = (guest_spec(NOBODY, NOBODY, ssh_port=next(_ports)) for _ in range(2))
    marks = {}
    for number in range(200_000):
        egress = allowing([f"a{number}.example.org", "8.0.0.0/8"])
        marks[entry_of(first.vps_id, first.ssh_port, egress).mark] = egress
    for number in count():
        egress = allowing([f"b{number}.example.org", "8.8.0.0/16"])
        met = marks.get(entry_of(second.vps_id, second.ssh_port, egress).mark)
        if met is not None:
            return msgspec.structs.replace(first, egress=met), msgspec.structs.replace(second, egress=egress)
    raise AssertionError


def test_no_owner_finds_lists_by_which_nobody_is_let_in_any_more(network: NatNetwork) -> None:
    ours = specs_of_one_mark()
    anybodys = guest_spec(NOBODY, NOBODY, ssh_port=next(_ports), egress=OPEN)
    try:
        for spec in (*ours, anybodys, *ours):
            network.ensure_guest(spec)
        assert {spec.ssh_port for spec in (*ours, anybodys)} <= network.inventory().kept
    finally:
        for spec in (*ours, anybodys):
            network.ensure_no_guest(spec.vps_id)
