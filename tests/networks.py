"""A host and an internet for tests of guests' networks, in network namespaces of their own.

The stand-in for the internet really has the addresses that no guest may reach, and the host itself listens on all of
its own: so that only the filter keeps a guest from them. No packet of these tests leaves the namespaces.
"""

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from adapters.host_network.network import NatNetwork
from adapters.host_network.plan import BRIDGE, NetworkPlan

NETNS_FOLDER = Path("/run/netns")
PREFIX = "litevps-test-"
NETWORK = IPv4Network("10.77.0.0/16")
ALLOWED, EVIL, ANOTHER_PUBLIC = "93.184.216.34", "93.184.216.35", "151.101.1.7"
PUBLIC = (ALLOWED, EVIL, ANOTHER_PUBLIC)
RESOLVERS = ("8.8.8.8", "1.1.1.1")
PRIVATE = (
    "10.9.9.9", "172.16.3.3", "172.31.255.1", "192.168.7.7", "100.64.1.1", "100.100.100.200", "169.254.169.254",
    "169.254.1.1", "198.18.0.5", "192.0.2.9", "192.0.0.8", "203.0.113.9", "0.1.2.3", "240.0.0.9", "192.88.99.1",
)  # fmt: skip
DENIED_BY_OPERATOR = "151.101.9.9"
ROUTER, HOST_ADDRESS, NEIGHBOUR = "198.51.100.1", "198.51.100.2", "145.220.0.9"
HOST_PUBLIC = "145.220.0.2"
IPV6_WORLD, IPV6_HOST = "2001:db8::34", "fd00:1::2"
PORTS = (22, 25, 80, 443, 465, 587, 853, 5432, 8000)
UPLINK = "up0"

_LISTENER = """
import selectors, socket
s = selectors.DefaultSelector()
for port in {ports}:
    k = socket.socket(socket.AF_INET6)
    k.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    k.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    k.bind(("::", port)); k.listen(64); s.register(k, 1, "tcp")
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO: the answer has to come from the address that was asked.
u.bind(("0.0.0.0", 7)); s.register(u, 1, "udp")
print("ready", flush=True)
while True:
    for key, _ in s.select():
        if key.data == "udp":
            data, ((level, kind, info),), _, a = u.recvmsg(100, 100)
            u.sendmsg([data], [(level, kind, bytes(4) + info[8:12] + bytes(4))], 0, a)
        elif key.data == "tcp":
            c, a = key.fileobj.accept(); s.register(c, 1, "open"); c.sendall(b"I see " + a[0].encode() + b"\\n")
        else:
            try: data = key.fileobj.recv(100)
            except OSError: data = b""
            if data: key.fileobj.sendall(data)
            else: s.unregister(key.fileobj); key.fileobj.close()
"""
_TRY = """
import socket, sys, threading
reached = []
def attempt(target):
    kind, address, port = target
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as s:
        s.settimeout({timeout_s})
        try:
            s.connect((address, port))
            if kind == "udp": s.send(b"hello")
            if s.recv(5): reached.append(target)
        except OSError: pass
threads = [threading.Thread(target=attempt, args=(t,)) for t in {targets}]
for t in threads: t.start()
for t in threads: t.join()
print(reached)
"""
T = TypeVar("T")
Target = tuple[str, str, int]
"""``tcp`` or ``udp``, an address, a port."""


def run(*command: str, check: bool = True, given: str | None = None, timeout_s: float = 30.0) -> str:
    """Run a program and return what it wrote."""
    ran = subprocess.run(command, input=given, capture_output=True, text=True, timeout=timeout_s, check=False)
    if check and ran.returncode:
        raise AssertionError(f"{command} failed: {ran.stderr}")
    return ran.stdout


def tcp(*addresses: str, port: int = 80) -> set[Target]:
    """Return one port of several addresses as targets."""
    return {("tcp", address, port) for address in addresses}


class Namespace(msgspec.Struct, frozen=True):
    """A network namespace with a name."""

    name: str

    @property
    def path(self) -> Path:
        """The file that stands for it."""
        return NETNS_FOLDER / self.name

    def run(self, *command: str, check: bool = True, given: str | None = None, timeout_s: float = 30.0) -> str:
        """Run a program in it."""
        inside = ("nsenter", f"--net={self.path}", "--", *command)
        return run(*inside, check=check, given=given, timeout_s=timeout_s)

    def reached(self, targets: set[Target], timeout_s: float = 1.0) -> set[Target]:
        """Return which of the targets answer somebody in here."""
        script = _TRY.format(targets=sorted(targets), timeout_s=timeout_s)
        told = self.run(sys.executable, "-I", "-c", script)
        return {(kind, address, port) for kind, address, port in eval(told)}

    def do(self, work: Callable[[], T]) -> T:
        """Do something in a thread that lives in here; a socket made there stays here."""
        done: list[T] = []

        def inside() -> None:
            with self.path.open() as file:
                assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000) == 0
            done.append(work())

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        return done[0]


class World:
    """The namespaces ``host`` and ``internet``, and what listens in them."""

    def __init__(self) -> None:
        unique = f"{os.getpid()}-{secrets.token_hex(2)}"
        self.host = Namespace(f"{PREFIX}{unique}-host")
        self.internet = Namespace(f"{PREFIX}{unique}-internet")
        self.folder = Path(tempfile.mkdtemp(prefix="litevps-network-"))
        self._processes: list[subprocess.Popen[str]] = []
        self._guests: list[Namespace] = []
        self._networks: list[NatNetwork] = []

    def build(self) -> None:
        """Make both namespaces, the wire between them, their addresses, listeners and names."""
        for namespace in (self.host, self.internet):
            run("ip", "netns", "add", namespace.name)
            namespace.run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", UPLINK, "netns", self.host.name, "type", "veth", "peer", "name", "isp0",
            "netns", self.internet.name)  # fmt: skip
        commands = [f"addr add {ROUTER}/30 dev isp0", "addr add fd00:1::1/64 dev isp0 nodad", "link set isp0 up"]
        commands += [f"addr add {IPV6_WORLD}/128 dev lo"]
        public = (*PUBLIC, *RESOLVERS, *PRIVATE, DENIED_BY_OPERATOR, NEIGHBOUR)
        commands += [f"addr add {address}/32 dev lo" for address in public]
        commands += [f"route add {HOST_PUBLIC}/32 via {HOST_ADDRESS}"]
        self.internet.run("ip", "-batch", "-", given="\n".join(commands))
        commands = [f"addr add {HOST_ADDRESS}/30 dev {UPLINK}", f"addr add {IPV6_HOST}/64 dev {UPLINK} nodad"]
        commands += [f"link set {UPLINK} up", f"route add default via {ROUTER}", "route add ::/0 via fd00:1::1"]
        commands += [f"addr add {HOST_PUBLIC}/32 dev lo"]
        self.host.run("ip", "-batch", "-", given="\n".join(commands))
        for namespace in (self.host, self.internet):
            self.listen(namespace)
        names = {"allowed.test": ALLOWED, "www.below.test": ALLOWED, "evil.test": EVIL, "rebind.test": "10.9.9.9"}
        names |= {"metadata.test": "169.254.169.254", "cgnat.test": "100.64.1.1"}
        self.start(
            self.internet,
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"),
            *("--bind-interfaces", f"--listen-address={','.join(RESOLVERS)}", "--log-queries", "--pid-file="),
            *(f"--log-facility={self.folder}/asked.log", "--cname=alias.test,allowed.test"),
            *(f"--address=/{name}/{address}" for name, address in names.items()),
        )

    def listen(self, namespace: Namespace) -> None:
        """Listen on every address of a namespace."""
        script = _LISTENER.format(ports=PORTS)
        listener = self.start(namespace, sys.executable, "-I", "-c", script)
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"

    def start(self, namespace: Namespace, *command: str) -> subprocess.Popen[str]:
        """Start what runs until the world ends."""
        started = subprocess.Popen(
            ("nsenter", f"--net={namespace.path}", "--", *command), stdout=subprocess.PIPE, text=True
        )
        self._processes.append(started)
        return started

    def network(self, **changes: object) -> NatNetwork:
        """Return the network of the host's guests, up."""
        network = NatNetwork(self.plan(**changes))
        if network not in self._networks:
            self._networks.append(network)
        network.ensure_up()
        return network

    def plan(self, **changes: object) -> NetworkPlan:
        """Return what is fixed of the network; ``changes`` replace fields of it."""
        plan = NetworkPlan(
            folder=self.folder / "network",
            network=NETWORK,
            uplink=UPLINK,
            denied=(IPv4Network(DENIED_BY_OPERATOR),),
            name_servers=RESOLVERS,
            namespace=self.host.path,
        )
        return msgspec.structs.replace(plan, **changes)

    def plug_in(self, bridge_port: str, mac: str, address: str | None) -> Namespace:
        """Plug a namespace into the bridge as a guest is: a card at one end, the bridge's port at the other."""
        guest = Namespace(f"{self.host.name.removesuffix('host')}{bridge_port}")
        run("ip", "netns", "add", guest.name)
        self._guests.append(guest)
        run("ip", "link", "add", bridge_port, "netns", self.host.name, "type", "veth", "peer", "name", "eth0",
            "netns", guest.name)  # fmt: skip
        self.host.run("ip", "link", "set", bridge_port, "master", BRIDGE, "up")
        commands = ["link set lo up", f"link set eth0 address {mac}", "link set eth0 up"]
        if address is not None:
            commands += [f"addr add {address}/16 dev eth0", f"route add default via {NETWORK[1]}"]
        guest.run("ip", "-batch", "-", given="\n".join(commands))
        return guest

    def unplug(self, guest: Namespace, bridge_port: str) -> None:
        """Take a guest from the bridge."""
        self.host.run("ip", "link", "delete", bridge_port)
        run("ip", "netns", "delete", guest.name)
        self._guests.remove(guest)

    def asked(self) -> str:
        """Return the questions that came to the world's resolvers."""
        return (self.folder / "asked.log").read_text()

    def destroy(self) -> None:
        """Have nothing left of it."""
        for network in self._networks:
            with suppress(Exception):
                network.remove()
        for process in self._processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for namespace in (*self._guests, self.host, self.internet):
            run("ip", "netns", "delete", namespace.name, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_worlds_of_the_dead() -> None:
    """Remove namespaces whose session was killed before it could."""
    for path in NETNS_FOLDER.glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            run("ip", "netns", "delete", path.name, check=False)


def make_world() -> Iterator[World]:
    """Give a world, and have nothing of it left afterwards."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces are made by root only")
    remove_worlds_of_the_dead()
    world = World()
    try:
        world.build()
        yield world
    finally:
        world.destroy()


def wait_until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.05)


def port_is_open(address: str, port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0
