"""The resolver of guests that may reach a few names only: what is not on a guest's list is asked of nobody.

Run as root, with its configuration:   python -m adapters.host_network.resolver FILE

Two processes. One talks with guests and with the world, as a user who may do nothing. The other stays root, takes
records of a fixed size from it, and lets the addresses that names were resolved to into the filter.
"""

import asyncio
import ctypes
import os
import pwd
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import cast

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

from adapters.host_network.plan import TABLE, GuestEntry
from domain.compute.egress import NEVER_REACHED, allows_name

USER = "nobody"
ASKED_AT_ONCE_MAX = 1_000
ASKED_AT_ONCE_OF_ONE_MAX = 64
CONNECTIONS_MAX = 1_000
CONNECTIONS_OF_ONE_MAX = 16
FILES_MAX = 2 * ASKED_AT_ONCE_MAX + CONNECTIONS_MAX + 100
"""A question that is asked of others takes a socket or two: with no room for them no guest had answers any more."""
TCP_IDLE_S = 5.0
UPSTREAM_TIMEOUT_S = 4.0
ADDRESSES_MAX = 16
"""Of one answer."""
LET_IN_MAX = 1_024
"""Of one guest at once."""
TTL_S_MAX = 300
KEPT_S = 600
"""How much longer than an answer is good for its addresses may be reached: programs hold on to them."""
DENIED_NAMES_MAX = 32
"""Of one guest until they are taken."""
DENIED_EVERY_S = 2.0

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""
_RECORD = struct.Struct("!I4sH")
"""Mark, address, seconds."""
_LENGTH = struct.Struct("!H")
_Source = tuple[str, int]


class ResolverSettings(msgspec.Struct, frozen=True):
    """What it is told."""

    guests: str
    """The folder with a file for each guest."""
    denials: str
    """The folder where it tells what was refused, a file a guest."""
    network: str
    listen: _Source
    upstream: _Source
    pid_file: str


class Guests:
    """Guests by their address, read anew for each question: what was changed holds at once."""

    def __init__(self, folder: int, network: IPv4Network) -> None:
        """``folder``: an open one, since whoever reads may not walk there."""
        self._folder = folder
        self._network = network

    def port_of(self, address: str) -> int | None:
        """Return the SSH port by which a guest is known; None for an address that is no guest's."""
        parsed = IPv4Address(address)
        return int(parsed) - int(self._network[0]) if parsed in self._network else None

    def entry_of(self, port: int | None) -> GuestEntry | None:
        """Return a guest; None where there is none."""
        with suppress(OSError, msgspec.DecodeError):
            file = os.open(f"{port}.json", os.O_RDONLY, dir_fd=self._folder)
            with os.fdopen(file, "rb") as opened:
                return msgspec.json.decode(opened.read(), type=GuestEntry)
        return None


class Denials:
    """What was asked in vain, told in a file a guest that is merged until somebody takes it."""

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._counts: dict[int, dict[str, int]] = {}

    def note(self, port: int, name: str) -> None:
        """Count a name that was refused."""
        counts = self._counts.setdefault(port, {})
        if name in counts or len(counts) < DENIED_NAMES_MAX:
            counts[name] = counts.get(name, 0) + 1

    def tell(self) -> None:
        """Write what was counted, added to what nobody has taken yet."""
        told, self._counts = self._counts, {}
        for port, counts in told.items():
            before: dict[str, int] = {}
            with suppress(OSError, msgspec.DecodeError):
                file = os.open(f"{port}.json", os.O_RDONLY, dir_fd=self._folder)
                with os.fdopen(file, "rb") as opened:
                    before = msgspec.json.decode(opened.read(), type=dict[str, int])
            for name, count in counts.items():
                if name in before or len(before) < DENIED_NAMES_MAX:
                    before[name] = before.get(name, 0) + count
            file = os.open(f"{port}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=self._folder)
            with os.fdopen(file, "wb") as opened:
                opened.write(msgspec.json.encode(before))
            os.rename(f"{port}.part", f"{port}.json", src_dir_fd=self._folder, dst_dir_fd=self._folder)


class Door:
    """Asks the other process to let addresses in, and remembers which are."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._turn = asyncio.Lock()
        self._until: dict[int, dict[IPv4Address, float]] = {}

    async def let_in(self, mark: int, addresses: list[IPv4Address], seconds: int) -> bool:
        """Have addresses in the filter for so long at least; return whether they all are."""
        async with self._turn:
            now = time.monotonic()
            known = {address: until for address, until in self._until.get(mark, {}).items() if until > now}
            fresh = [address for address in addresses if known.get(address, 0.0) < now + seconds]
            self._until[mark] = known
            if not known:
                self._until = {each: kept for each, kept in self._until.items() if each == mark or kept}
            if not fresh:
                return True
            if len(known) + len(fresh) > LET_IN_MAX:
                return False
            kept_s = seconds + KEPT_S
            loop = asyncio.get_running_loop()
            records = b"".join(_RECORD.pack(mark, address.packed, kept_s) for address in fresh)
            await loop.sock_sendall(self._wire, bytes((len(fresh),)) + records)
            done = await loop.sock_recv(self._wire, 1)
            if not done:
                raise SystemExit("the process that lets addresses in has ended")
            if done == b"y":
                known |= dict.fromkeys(fresh, now + kept_s)
            return done == b"y"


class Resolver:
    """Answers guests: addresses of names on their list, and nothing of any other name."""

    def __init__(self, guests: Guests, denials: Denials, door: Door, upstream: _Source) -> None:
        self._guests = guests
        self._denials = denials
        self._door = door
        self._upstream = upstream
        self._asking: dict[str, int] = {}
        self._connected: Counter[str] = Counter()

    async def answer(self, wire: bytes, source: str) -> bytes | None:
        """Return the answer to a question; None for what is none, or is one too many."""
        asking = self._asking.get(source, 0)
        if asking >= ASKED_AT_ONCE_OF_ONE_MAX or sum(self._asking.values()) >= ASKED_AT_ONCE_MAX:
            return None
        try:
            query = dns.message.from_wire(wire)
        except Exception:  # noqa: BLE001 — a guest's bytes: whatever they break, they are no question.
            return None
        if query.flags & dns.flags.QR or query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            return None
        self._asking[source] = asking + 1
        try:
            answered: bytes = (await self._answer(query, source)).to_wire()
            return answered
        finally:
            self._asking[source] -= 1
            if not self._asking[source]:
                del self._asking[source]

    async def _answer(self, query: dns.message.Message, source: str) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        port = self._guests.port_of(source)
        entry = self._guests.entry_of(port)
        if port is None or entry is None or question.rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        name = question.name.to_text(omit_final_dot=True).lower()
        if not allows_name(entry.egress, name):
            self._denials.note(port, name)
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response
        if question.rdtype != dns.rdatatype.A:
            return response  # The name is there; of its kind there is nothing. A way out for words is not a need.
        try:
            found = await self._ask(name)
        except (OSError, dns.exception.DNSException, TimeoutError):
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        addresses, ttl_s = _addresses_in(found)
        if addresses and not await self._door.let_in(entry.mark, addresses, ttl_s):
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        response.set_rcode(found.rcode())
        if addresses:
            texts = list(map(str, addresses))
            response.answer.append(dns.rrset.from_text_list(question.name, ttl_s, "IN", "A", texts))
        return response

    async def _ask(self, name: str) -> dns.message.Message:
        query = dns.message.make_query(name, dns.rdatatype.A)
        address, port = self._upstream
        found, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=UPSTREAM_TIMEOUT_S, port=port)
        return found

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer questions over one connection until it is idle or breaks; one too many is closed at once."""
        source = writer.get_extra_info("peername")[0]
        if self._connected[source] >= CONNECTIONS_OF_ONE_MAX or self._connected.total() >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connected[source] += 1
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE_S):
                    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                    wire = await reader.readexactly(length)
                answer = await self.answer(wire, source)
                if answer is None:
                    return
                writer.write(_LENGTH.pack(len(answer)) + answer)
                async with asyncio.timeout(TCP_IDLE_S):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            writer.close()
            self._connected[source] -= 1
            if not self._connected[source]:
                del self._connected[source]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._answering: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Python 3.11's transport of datagrams is not of the class that it is documented to be.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: _Source) -> None:
        if len(self._answering) < ASKED_AT_ONCE_MAX:
            task = asyncio.get_running_loop().create_task(self._answer(data, addr))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, data: bytes, addr: _Source) -> None:
        answer = await self._resolver.answer(data, addr[0])
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)


def _addresses_in(found: dns.message.Message) -> tuple[list[IPv4Address], int]:
    """Return the addresses of an answer that a guest may reach at all, and how long it is good for."""
    records = [rrset for rrset in found.answer if rrset.rdtype == dns.rdatatype.A]
    addresses = [IPv4Address(record.to_text()) for rrset in records for record in rrset]
    reachable = [address for address in addresses if not any(address in never for never in NEVER_REACHED)]
    ttl_s = min((rrset.ttl for rrset in found.answer), default=0)
    return list(dict.fromkeys(reachable))[:ADDRESSES_MAX], min(ttl_s, TTL_S_MAX)


class _Half(msgspec.Struct, frozen=True):
    """What the half that talks with guests was given before it became nobody."""

    settings: ResolverSettings
    datagrams: socket.socket
    connections: socket.socket
    guests: int
    denials: int
    wire: socket.socket

    async def run(self) -> None:
        """Answer guests until the other half ends, and this one with it."""
        self.wire.setblocking(False)
        denials = Denials(self.denials)
        guests = Guests(self.guests, IPv4Network(self.settings.network))
        resolver = Resolver(guests, denials, Door(self.wire), self.settings.upstream)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: _Datagrams(resolver), sock=self.datagrams)
        async with await asyncio.start_server(resolver.serve_tcp, sock=self.connections):
            while True:
                await asyncio.sleep(DENIED_EVERY_S)
                with suppress(OSError):
                    denials.tell()


def _let_in(wire: socket.socket) -> None:
    """Let in what is asked for, until nobody asks any more."""
    load = ("nft", "-f", "-")
    while count := wire.recv(1):
        records = wire.recv(count[0] * _RECORD.size, socket.MSG_WAITALL)
        if len(records) < count[0] * _RECORD.size:
            return
        elements = [_element(*record) for record in _RECORD.iter_unpack(records)]
        of_set = f"element inet {TABLE} names"
        # Added twice, with its end taken between: what is there already gets no later end by being added.
        lines = (f"{verb} {of_set} {{ {', '.join(elements)} }}\n" for verb in ("add", "delete", "add"))
        ran = subprocess.run(load, input="".join(lines).encode(), capture_output=True, check=False)
        wire.sendall(b"y" if ran.returncode == 0 else b"n")


def _element(mark: int, address: bytes, seconds: int) -> str:
    return f"{mark:#x} . {IPv4Address(address)} timeout {seconds}s"


def main(configuration: Path) -> None:
    """Serve until it is told to end."""
    settings = msgspec.json.decode(configuration.read_bytes(), type=ResolverSettings)
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if files_max == resource.RLIM_INFINITY else min(FILES_MAX, files_max)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, files_max))
    user = pwd.getpwnam(USER)
    datagrams, connections = _bound(settings.listen, socket.SOCK_DGRAM), _bound(settings.listen, socket.SOCK_STREAM)
    guests, denials = (os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in (settings.guests, settings.denials))
    os.fchown(denials, user.pw_uid, user.pw_gid)
    _load_lazy_modules()
    root_end, asking_end = socket.socketpair()
    if (child := os.fork()) == 0:
        root_end.close()
        _become(user)
        asyncio.run(_Half(settings, datagrams, connections, guests, denials, asking_end).run())
        os._exit(1)
    for each in (asking_end, datagrams, connections):
        each.close()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    Path(settings.pid_file).write_text(str(os.getpid()))
    try:
        _let_in(root_end)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _become(user: pwd.struct_passwd) -> None:
    """Give up every right, and end when the other half does. What guests make us say is written nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        os._exit(1)


def _bound(address: _Source, kind: socket.SocketKind) -> socket.socket:
    bound = socket.socket(socket.AF_INET, kind)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(address)
    return bound


def _load_lazy_modules() -> None:
    """Have all that is needed loaded, while we may still read where it lies."""
    response = dns.message.make_response(dns.message.make_query("example.org", dns.rdatatype.A))
    for kind, text in (("A", "192.0.2.1"), ("CNAME", "example.org."), ("SOA", "a. b. 1 1 1 1 1")):
        response.answer.append(dns.rrset.from_text("example.org.", 1, "IN", kind, text))
    dns.message.from_wire(response.to_wire())
    dns.asyncbackend.get_backend("asyncio")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
