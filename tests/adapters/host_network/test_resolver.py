"""The resolver of lists over TCP: no guest takes the connections that others need."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import dns.message
import dns.rcode
import msgspec
import pytest

from adapters.host_network import resolver
from adapters.host_network.plan import entry_of
from adapters.host_network.resolver import CONNECTIONS_OF_ONE_MAX, Denials, Door, Guests, Resolver
from domain.compute.egress import allowing
from domain.ids import VpsId
from tests.api.compute_world import IDS

pytestmark = pytest.mark.anyio

ONE, OTHER = 1, 2
"""Guests by their SSH port, which is the last octet of the address that each asks from."""
QUESTION = dns.message.make_query("elsewhere.example", "A").to_wire()


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    """Give the address of a resolver that knows two guests, neither of which may reach what is asked for."""
    for port in (ONE, OTHER):
        entry = entry_of(VpsId(IDS.new()), port, allowing(["example.org"]))
        (tmp_path / f"{port}.json").write_bytes(msgspec.json.encode(entry))
    folder, (here, there) = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY), socket.socketpair()
    guests = Guests(folder, IPv4Network("127.0.0.0/24"))
    asked = Resolver(guests, Denials(folder), Door(here), ("127.0.0.1", 9))
    async with await asyncio.start_server(asked.serve_tcp, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()
    here.close()
    there.close()
    os.close(folder)


async def connected(listening: tuple[str, int], guest: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*listening, local_addr=(f"127.0.0.{guest}", 0))


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Ask over a connection; return whether there was an answer, False where it was closed."""
    writer.write(len(QUESTION).to_bytes(2, "big") + QUESTION)
    try:
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = dns.message.from_wire(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    assert answer.rcode() == dns.rcode.NXDOMAIN
    return True


async def test_a_guest_has_a_few_connections_at_once_and_another_is_none_the_worse(listening: tuple[str, int]) -> None:
    kept = [await connected(listening, ONE) for _ in range(CONNECTIONS_OF_ONE_MAX)]
    assert all([await answered(*one) for one in kept])

    beyond = await connected(listening, ONE)
    assert not await answered(*beyond)
    of_another = await connected(listening, OTHER)
    assert await answered(*of_another)

    kept[0][1].close()
    await kept[0][1].wait_closed()
    async with asyncio.timeout(10):
        while not await answered(*(again := await connected(listening, ONE))):
            again[1].close()
    for _, writer in (*kept, beyond, of_another, again):
        writer.close()


async def test_all_guests_together_have_no_more_connections_than_there_is_room_for(
    listening: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "CONNECTIONS_MAX", 3)
    kept = [await connected(listening, ONE) for _ in range(3)]
    assert all([await answered(*one) for one in kept])

    beyond = await connected(listening, OTHER)
    assert not await answered(*beyond)
    for _, writer in (*kept, beyond):
        writer.close()
