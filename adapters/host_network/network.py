"""A host's network: kept as its folder of guests says, whatever was lost, changed by hand or left behind."""

import ctypes
import fcntl
import hashlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec

from adapters.host_network.commands import Commands
from adapters.host_network.plan import BRIDGE, PORTS, TABLE, GuestEntry, NetworkPlan, entry_of
from adapters.host_network.ruleset import delete_tables, write_filter
from adapters.host_network.services import programs_missing, services_of
from domain.compute.ports import Denial, GuestCard, GuestSpec, NetworkUnavailable
from domain.ids import VpsId

LET_IN_AHEAD_S = 300.0
"""How long before its start, at the most, a guest is let in: until then it is not on, and no leftover."""

_CLONE_NEWNET = 0x40000000
"""From <linux/sched.h>."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Inventory(msgspec.Struct, frozen=True):
    """What there is of a network, by the kernel's word: guests' ids where known, otherwise names and addresses."""

    kept: frozenset[int]
    """The SSH ports of guests that are to be in it."""
    bound: frozenset[str]
    """Addresses that the filter knows a card of."""
    policies: frozenset[str]
    """Addresses that the filter lets out."""
    ports: frozenset[str]
    """Bridge ports of guests."""
    processes: int


class NatNetwork:
    """Implements ``domain.compute.ports.GuestNetwork`` by nftables, dnsmasq and a bridge. Needs root.

    The folder holds a file for each guest that was let in. Whoever changes one has the whole filter made anew from
    them, in one transaction: so nothing is left behind, and nothing is open while it changes.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        self._plan = plan
        self._commands = Commands(plan.namespace)
        self._guests = plan.folder / "guests"

    def ensure_up(self) -> None:
        """Have bridge, filter and services as they should be, with every guest that was let in."""
        self._check_machine()
        with self._alone():
            self._forget_former_boot()
            if not self._is_filter_in_force():
                self._load_filter()
            self._ensure_bridge()
            self._ensure_services()
            self._ensure_ports()

    def ensure_guest(self, spec: GuestSpec) -> GuestCard:
        """Have the guest's address and policy in force; whoever had its port before is out."""
        with self._alone():
            for port, other in self._entries().items():
                if other.vps_id == spec.vps_id and port != spec.ssh_port:
                    self._file(port).unlink(missing_ok=True)
            entry = self._with_own_mark(entry_of(spec.vps_id, spec.ssh_port, spec.egress))
            if self._entries().get(spec.ssh_port) == entry:
                os.utime(self._file(spec.ssh_port))
            else:
                self._write(entry)
            self._ensure_in_force()
        return GuestCard(BRIDGE, self._plan.bridge_port_of(spec.ssh_port), entry.mac)

    def ensure_isolated(self, card: GuestCard) -> None:
        """Have a bridge port kept from the other guests': libvirt cannot, where sysfs shows another namespace."""
        self._commands.run("bridge", "link", "set", "dev", card.port, "isolated", "on")

    def ensure_no_guest(self, vps_id: VpsId) -> None:
        """Have nothing of the guest left."""
        with self._alone():
            ports = [port for port, entry in self._entries().items() if entry.vps_id == vps_id]
            for port in ports:
                self._file(port).unlink(missing_ok=True)
                self._denials_file(port).unlink(missing_ok=True)
            if ports:
                self._ensure_in_force()

    def ensure_only(self, on: Collection[VpsId]) -> None:
        """Have nothing left of guests that are not on, but for those let in a moment ago."""
        with self._alone():
            gone = [
                port
                for port, entry in self._entries().items()
                if entry.vps_id not in on and self._file(port).stat().st_mtime < time.time() - LET_IN_AHEAD_S
            ]
            for port in gone:
                self._file(port).unlink(missing_ok=True)
                self._denials_file(port).unlink(missing_ok=True)
            if gone:
                self._ensure_in_force()

    def take_denials(self) -> Sequence[Denial]:
        """Return what guests were kept from since the last call; told once, lost if we end before it is recorded."""
        with self._alone():
            entries = self._entries()
            return (*self._denied_addresses(entries), *self._denied_names(entries))

    def dial(self, ssh_port: int) -> tuple[socket.socket, tuple[str, int]]:
        """Return a TCP socket, and where it is to be connected: with a guest's SSH, over the bridge. Raises OSError."""
        to = (str(self._plan.address_of(ssh_port)), 22)
        if self._plan.namespace is None:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM), to
        return _socket_in(self._plan.namespace), to

    def inventory(self) -> Inventory:
        """Return what there is of the network, for whoever looks for leftovers."""
        with self._alone():
            links = self._commands.json("ip", "-j", "link", "show")
            services = services_of(self._plan, self._entries().values())
            return Inventory(
                kept=frozenset(self._entries()),
                bound=frozenset(concat[2] for concat in self._elements("bridge", "set", "bound")),
                policies=frozenset(address for address, _ in self._elements("inet", "map", "policies")),
                ports=frozenset(link["ifname"] for link in links if link["ifname"].startswith(PORTS)),
                processes=sum(service.pid() is not None for service in services),
            )

    def remove(self) -> None:
        """Have nothing left of the network: filter, bridge, processes, folder. For tests and uninstalling."""
        if not self._plan.folder.is_dir():
            return
        with self._alone():
            for service in services_of(self._plan, ()):
                service.end()
            self._commands.run("nft", "-f", "-", given=delete_tables())
            if self._link(BRIDGE) is not None:
                self._commands.run("ip", "link", "delete", BRIDGE)
            if self._forwarding_marker.is_file():
                self._commands.succeeds("sysctl", "-qw", f"{_key(self._forwarding_marker.read_text(), 'forwarding')}=0")
        shutil.rmtree(self._plan.folder)

    # What is kept on disk

    def _entries(self) -> dict[int, GuestEntry]:
        entries = {}
        for file in self._guests.glob("*.json"):
            with suppress(msgspec.DecodeError, FileNotFoundError):
                entry = msgspec.json.decode(file.read_bytes(), type=GuestEntry)
                entries[entry.ssh_port] = entry
        return dict(sorted(entries.items()))

    def _with_own_mark(self, entry: GuestEntry) -> GuestEntry:
        """Return an entry with a mark that no other guest has.

        Owners choose what goes into theirs, and find two that meet within a second: overlapping networks under one mark
        are an error to ``nft``, which would then take no change of the filter any more, for whichever guest.
        """
        taken = {other.mark for port, other in self._entries().items() if port != entry.ssh_port}
        mark = entry.mark
        while mark in taken:
            mark = mark % 0xFFFF_FFFF + 1
        return msgspec.structs.replace(entry, mark=mark)

    def _file(self, ssh_port: int) -> Path:
        return self._guests / f"{ssh_port}.json"

    def _denials_file(self, ssh_port: int) -> Path:
        return self._plan.folder / "names" / f"{ssh_port}.json"

    def _write(self, entry: GuestEntry) -> None:
        part = self._guests / f"{entry.ssh_port}.part"
        part.write_bytes(msgspec.json.encode(entry))
        part.rename(self._file(entry.ssh_port))
        self._denials_file(entry.ssh_port).unlink(missing_ok=True)

    def _forget_former_boot(self) -> None:
        """Forget guests of a former boot of the machine: they are off, and nothing of them is in the kernel."""
        boot_id, marker = _BOOT_ID.read_text(), self._plan.folder / "boot-id"
        if not marker.is_file() or marker.read_text() != boot_id:
            for folder in (self._guests, self._plan.folder / "names", self._plan.folder / "run"):
                shutil.rmtree(folder, ignore_errors=True)
            self._forwarding_marker.unlink(missing_ok=True)
        for folder in (self._guests, self._plan.folder / "names", self._plan.folder / "run"):
            folder.mkdir(exist_ok=True, mode=0o755)
        marker.write_text(boot_id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until no other process changes this network."""
        self._plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._plan.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # What is in force

    def _ensure_in_force(self) -> None:
        if self._link(BRIDGE) is None:
            raise NetworkUnavailable("the host's network is not up")
        self._load_filter()
        self._ensure_services()

    def _load_filter(self) -> None:
        text = write_filter(self._plan, self._entries().values(), guard_uplink=self._forwarding_marker.is_file())
        try:
            self._commands.run("nft", "-f", "-", given=text)
        except NetworkUnavailable:
            # Left by an older version with other sets, or changed by hand: replaced, still in one transaction.
            self._commands.run("nft", "-f", "-", given=delete_tables() + text)
        self._shape_file.write_text(self._shape())

    def _is_filter_in_force(self) -> bool:
        """Return whether the rules in the kernel are those that were loaded, for the guests that are kept."""
        try:
            if not self._shape_file.is_file() or self._shape_file.read_text() != self._shape():
                return False
            bound = {concat[2] for concat in self._elements("bridge", "set", "bound")}
        except NetworkUnavailable:
            return False  # A table is missing, such as after `nft flush ruleset`.
        return bound == {str(self._plan.address_of(port)) for port in self._entries()}

    def _shape(self) -> str:
        """Return a digest of the rules in the kernel and of what they were made from, guests left out."""
        listed = [
            self._commands.run("nft", "-s", "-t", "list", "table", family, TABLE) for family in ("bridge", "inet")
        ]
        made_from = write_filter(self._plan, (), guard_uplink=self._forwarding_marker.is_file())
        return hashlib.sha256("\0".join((*listed, made_from)).encode()).hexdigest()

    @property
    def _shape_file(self) -> Path:
        return self._plan.folder / "run" / "filter.sha256"

    def _ensure_services(self) -> None:
        for service in services_of(self._plan, self._entries().values()):
            service.ensure_running(self._commands)

    def _ensure_bridge(self) -> None:
        link = self._link(BRIDGE)
        owner = f"litevps {self._plan.folder}"
        if link is None:
            # A hardware address of its own: otherwise it changes with the ports, and guests' caches of it are wrong.
            mac = ":".join(f"{octet:02x}" for octet in (0x52, 0xFE, *self._plan.gateway.packed))
            self._commands.run("ip", "link", "add", BRIDGE, "address", mac, "type", "bridge")
            self._commands.run("ip", "link", "set", BRIDGE, "alias", owner)
        elif link.get("ifalias") not in (owner, None):
            raise NetworkUnavailable(f"{BRIDGE} belongs to another service: {link.get('ifalias')}")
        self._set(BRIDGE, "disable_ipv6", "1", family="ipv6")
        for name, value in (("forwarding", "1"), ("rp_filter", "1"), ("send_redirects", "0"), ("arp_ignore", "1")):
            self._set(BRIDGE, name, value)
        self._commands.run(
            "ip", "address", "replace", f"{self._plan.gateway}/{self._plan.network.prefixlen}", "dev", BRIDGE
        )
        self._commands.run("ip", "link", "set", BRIDGE, "up")
        self._ensure_forwarding()

    def _ensure_forwarding(self) -> None:
        """Have the machine forward between bridge and uplink, and nothing that it did not forward before."""
        uplink = self._plan.uplink
        if uplink is None or self._commands.run("sysctl", "-n", _key(uplink, "forwarding")).strip() == "1":
            return
        self._forwarding_marker.write_text(uplink)
        self._load_filter()
        self._set(uplink, "forwarding", "1")

    @property
    def _forwarding_marker(self) -> Path:
        """Is there if this machine forwarded nothing before; tells the interface that forwards now."""
        return self._plan.folder / "forwarding-was-off"

    def _ensure_ports(self) -> None:
        """Have every guest's port at the bridge, and kept from the others'."""
        isolated = {
            port["ifname"]
            for port in self._commands.json("bridge", "-j", "-d", "link", "show")
            if port.get("isolated") and port.get("master") == BRIDGE
        }
        for link in self._commands.json("ip", "-j", "link", "show"):
            name = link["ifname"]
            if name.startswith(PORTS) and name != BRIDGE and name not in isolated:
                self._commands.succeeds("ip", "link", "set", name, "master", BRIDGE)
                self._commands.succeeds("bridge", "link", "set", "dev", name, "isolated", "on")

    def _link(self, name: str) -> dict[str, Any] | None:
        if not self._commands.succeeds("ip", "link", "show", name):
            return None
        found: dict[str, Any] = self._commands.json("ip", "-j", "-d", "link", "show", name)[0]
        return found

    def _set(self, interface: str, name: str, value: str, family: str = "ipv4") -> None:
        self._commands.run("sysctl", "-qw", f"{_key(interface, name, family)}={value}")

    def _elements(self, family: str, kind: str, name: str) -> list[Any]:
        listed = self._commands.json("nft", "-j", "list", kind, family, TABLE, name)["nftables"]
        (found,) = (each[kind] for each in listed if kind in each)
        return [_value(element) for element in found.get("elem", [])]

    # What was refused

    def _denied_addresses(self, entries: dict[int, GuestEntry]) -> Iterator[Denial]:
        listed = self._commands.json("nft", "-j", "list", "set", "inet", TABLE, "denied")["nftables"]
        (found,) = (each["set"] for each in listed if "set" in each)
        elements = [each["elem"] for each in found.get("elem", [])]
        if not elements:
            return
        self._commands.run("nft", "flush", "set", "inet", TABLE, "denied")
        for element in elements:
            source, protocol, target, port = element["val"]["concat"]
            entry = entries.get(int(IPv4Address(source)) - int(self._plan.network[0]))
            if entry is not None:
                yield Denial(entry.vps_id, protocol, target, port, element["counter"]["packets"])

    def _denied_names(self, entries: dict[int, GuestEntry]) -> Iterator[Denial]:
        for port, entry in entries.items():
            file = self._denials_file(port)
            with suppress(FileNotFoundError, msgspec.DecodeError):
                counts = msgspec.json.decode(file.read_bytes(), type=dict[str, int])
                file.unlink()
                for name, count in counts.items():
                    yield Denial(entry.vps_id, "name", name, 0, count)

    def _check_machine(self) -> None:
        if os.geteuid() != 0:
            raise NetworkUnavailable("guests' networks need root: start the service as root, or with network=user")
        if missing := programs_missing():
            raise NetworkUnavailable(f"missing on this machine: install {', '.join(missing)}")


def uplink_of(namespace: Path | None) -> str | None:
    """Return the interface of the default route; None where there is none. Raises NetworkUnavailable."""
    routes = Commands(namespace).json("ip", "-j", "-4", "route", "show", "default")
    return next((str(route["dev"]) for route in routes if "dev" in route), None)


def address_at(interface: str, namespace: Path | None) -> str | None:
    """Return the first address of an interface that others can reach; None where it has none."""
    links = Commands(namespace).json("ip", "-j", "-4", "address", "show", "dev", interface, "scope", "global")
    return next((str(each["local"]) for link in links for each in link.get("addr_info", [])), None)


def _socket_in(namespace: Path) -> socket.socket:
    """Return a TCP socket that lives in a network namespace, made by a thread that goes there and ends."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            with namespace.open() as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot go into {namespace}")
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        except OSError as failed:
            made.append(failed)

    thread = threading.Thread(target=make, name="namespace-socket")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


def _key(interface: str, name: str, family: str = "ipv4") -> str:
    return f"net/{family}/conf/{interface}/{name}"  # Slashes: an interface's name may have dots.


def _value(element: Any) -> Any:
    """Return the value of an element of a set, or the pair of an element of a map, as nft writes it in JSON."""
    if isinstance(element, dict) and "elem" in element:
        element = element["elem"]["val"]
    return element["concat"] if isinstance(element, dict) and "concat" in element else element
