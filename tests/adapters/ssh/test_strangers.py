"""What answers at a guest's address may be no guest of ours, or a guest that means ill."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncssh
import pytest

from adapters.ssh.connection import LONG_GREETING_S
from adapters.ssh.guest_shell import SshGuestShell
from adapters.ssh.keys import new_host_key
from domain.compute.ports import GuestAddress, GuestUnreachable
from domain.ids import VpsId
from tests.api.http.loop_steps import measured_steps
from tests.contracts.guest_shells import job

pytestmark = pytest.mark.anyio

HOST_KEY, HOST_KEY_PUBLIC = new_host_key()


def address(port: int) -> GuestAddress:
    return GuestAddress(vps_id=VpsId(uuid4()), ssh_host="127.0.0.1", ssh_port=port, host_key_public=HOST_KEY_PUBLIC)


async def test_a_guest_that_takes_the_connection_but_does_not_greet_is_given_up_quickly() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    begun = time.monotonic()
    shell = SshGuestShell(new_host_key()[0])
    with pytest.raises(GuestUnreachable):
        await shell.login(address(server.sockets[0].getsockname()[1]))
    assert time.monotonic() - begun < LONG_GREETING_S
    server.close()


async def test_a_guest_that_greets_in_no_ascii_is_unreachable_and_no_fault_of_ours() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-\xff\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    with pytest.raises(GuestUnreachable):
        await SshGuestShell(new_host_key()[0]).login(address(server.sockets[0].getsockname()[1]))
    server.close()


async def test_a_guest_that_floods_us_with_empty_packets_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.ssh.connection.LOGIN_TIMEOUT_S", 2.0)
    ignore = b"\x02" + bytes(4)  # SSH_MSG_IGNORE with nothing in it (RFC 4253 §11.2), not encrypted yet.
    packet = (12).to_bytes(4, "big") + b"\x06" + ignore + bytes(6)

    def flood(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"SSH-2.0-guest\r\n")
            while True:
                connection.sendall(packet * 16_384)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=flood, args=(listening,), daemon=True).start()
        with measured_steps(monkeypatch) as steps, pytest.raises(GuestUnreachable):
            await SshGuestShell(new_host_key()[0]).login(address(listening.getsockname()[1]))

    assert steps.longest_s < 0.2, "hundreds of milliseconds at once, were it read by the quarter of a megabyte"


async def test_a_guest_that_refuses_the_services_key_is_unreachable() -> None:
    async with asyncssh_guest(lambda _: None, lets_in=False) as port:
        with pytest.raises(GuestUnreachable):
            await SshGuestShell(new_host_key()[0]).login(address(port))


@pytest.mark.parametrize(
    "answer",
    [
        "outcome exit 0 1 99999999999 - 99999999999 0 0 - 0 0",
        "outcome exit 0 1 5 - 99999999999 0 0 - 0 0",
        "outcome exit 0 1 99999999999 nonsense 9968 9968 0 - 0 0",
        "outcome exit 0 1 -5 - -5 0 0 - 0 0",
        "outcome exit zero 1 0 - 0 0 0 - 0 0",
        "outcome exit 256 1 0 - 0 0 0 - 0 0",
        "outcome exit -1 1 0 - 0 0 0 - 0 0",
        "outcome exit 0 -1 0 - 0 0 0 - 0 0",
        "outcome exit 0 100000000000000000000 0 - 0 0 0 - 0 0",
        f"outcome exit 0 1 {2**60} {'a' * 64} 32736 32736 0 - 0 0",
        "outcome",
        "something else",
        "",
    ],
)
async def test_an_answer_that_makes_no_sense_is_not_believed(answer: str) -> None:
    async def answer_nonsense(process: "asyncssh.SSHServerProcess[str]") -> None:
        marker = (process.command or "").split()[-1]
        process.stdout.write(f"noise\nlitevps-ready {marker}\n")
        while not (await process.stdin.readline()).startswith("run "):
            pass
        process.stdout.write(answer + "\n")

    async with asyncssh_guest(answer_nonsense) as port:
        shell = SshGuestShell(new_host_key()[0])
        with pytest.raises(GuestUnreachable):
            await shell.run(address(port), job("true"))
        await shell.close()


@pytest.mark.parametrize(
    "asked",
    [
        job("echo a\0b"),
        job("true", cwd="/tmp\0"),
        job("true", env={"A": "\0"}),
        job("true", env={"A B": "x"}),
        job("true", env={"A[$(reboot)]": "x"}),
        job("true", user="a\0"),
    ],
)
async def test_what_no_shell_could_be_told_is_refused_before_it_is_sent(asked: object) -> None:
    async with asyncssh_guest(_ready) as port:
        shell = SshGuestShell(new_host_key()[0])
        with pytest.raises(ValueError):
            await shell.run(address(port), asked)  # type: ignore[arg-type]
        await shell.close()


async def _ready(process: "asyncssh.SSHServerProcess[str]") -> None:
    process.stdout.write(f"litevps-ready {(process.command or '').split()[-1]}\n")
    await process.stdin.read()


@asynccontextmanager
async def asyncssh_guest(
    handle: Callable[["asyncssh.SSHServerProcess[str]"], object], *, lets_in: bool = True
) -> AsyncIterator[int]:
    """Answer SSH with the guest's host key, and what is asked by ``handle``; yield the port."""

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return not lets_in

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[asyncssh.import_private_key(HOST_KEY)],
        process_factory=handle,
        config=None,
    )
    yield server.get_port()
    server.close()
