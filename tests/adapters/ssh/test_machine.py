"""A machine elsewhere is reached by the key that is meant, if it shows the host key that is known."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath

import msgspec
import pytest

from adapters.ssh.machine import MachineLogin, SshMachine
from domain.compute.ports import HypervisorUnavailable
from tests.guests import new_key_pair
from tests.ssh_machines import SshServer, running_ssh_server

BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[SshServer]:
    with running_ssh_server() as running:
        yield running


def login_of(server: SshServer) -> MachineLogin:
    return MachineLogin("127.0.0.1", server.port, "root", server.client.private, server.known_hosts)


@pytest.fixture
async def machine(server: SshServer) -> AsyncIterator[SshMachine]:
    machine = SshMachine(login_of(server))
    yield machine
    await machine.close()


async def test_a_file_is_brought_whole_and_never_over_another(machine: SshMachine, tmp_path: Path) -> None:
    there = PurePosixPath(tmp_path / "there" / "guest" / "disk.qcow2")
    (tmp_path / "first").write_bytes(b"first" * 1_000_000)
    (tmp_path / "second").write_bytes(b"second")

    await asyncio.to_thread(machine.put, tmp_path / "first", there, mode=0o600)
    await asyncio.to_thread(machine.put, tmp_path / "second", there, mode=0o600)

    found = tmp_path / "there" / "guest" / "disk.qcow2"
    assert found.read_bytes() == b"first" * 1_000_000
    assert found.stat().st_mode & 0o777 == 0o600
    assert await asyncio.to_thread(machine.names, there.parent) == {"disk.qcow2"}, "nothing half done is left"


async def test_of_two_who_bring_a_file_at_once_one_is_first(machine: SshMachine, tmp_path: Path) -> None:
    there = PurePosixPath(tmp_path / "there" / "seed.iso")
    (tmp_path / "ours").write_bytes(b"x" * 100_000)

    await asyncio.gather(*(asyncio.to_thread(machine.put, tmp_path / "ours", there, mode=0o600) for _ in range(4)))

    assert [path.name for path in (tmp_path / "there").iterdir()] == ["seed.iso"]


async def test_what_is_not_there_is_empty_and_removing_it_is_done(machine: SshMachine, tmp_path: Path) -> None:
    absent = PurePosixPath(tmp_path / "absent")

    assert await asyncio.to_thread(machine.names, absent) == frozenset()
    assert await asyncio.to_thread(machine.read, absent / "ledger") is None
    await asyncio.to_thread(machine.remove, absent)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    await asyncio.to_thread(machine.remove, PurePosixPath(tmp_path / "folder"))
    assert not (tmp_path / "folder").exists()


async def test_its_boot_and_its_disk_are_told(machine: SshMachine, tmp_path: Path) -> None:
    assert await asyncio.to_thread(machine.boot_id) == BOOT_ID
    assert await asyncio.to_thread(machine.disk_bytes, PurePosixPath(tmp_path / "data")) > 1_000_000
    assert (tmp_path / "data").is_dir()


async def test_a_port_and_a_socket_of_it_are_led_to_and_led_to_again_once_it_was_lost(
    machine: SshMachine, tmp_path: Path
) -> None:
    with _echoing(socket.AF_INET, ("127.0.0.1", 0)) as tcp, _echoing(socket.AF_UNIX, str(tmp_path / "theirs")):
        for _ in range(2):
            ours = tmp_path / "ours"
            await asyncio.to_thread(machine.lead_socket, ours, str(tmp_path / "theirs"))
            port = await machine.lead_port(tcp.getsockname()[1])
            assert await machine.lead_port(tcp.getsockname()[1]) == port
            assert await asyncio.to_thread(_echoed, socket.AF_UNIX, str(ours)) == b"hello"
            assert await asyncio.to_thread(_echoed, socket.AF_INET, ("127.0.0.1", port)) == b"hello"
            await machine.close()


@pytest.mark.parametrize("wrong", ["host key", "client key", "nobody there"])
async def test_whoever_is_not_the_one_or_does_not_answer_is_unavailable(server: SshServer, wrong: str) -> None:
    login = login_of(server)
    stranger = new_key_pair()
    if wrong == "host key":
        login = msgspec.structs.replace(login, known_hosts=f"[127.0.0.1]:{server.port} {stranger.public}\n")
    elif wrong == "client key":
        login = msgspec.structs.replace(login, client_key=stranger.private)
    else:
        login = msgspec.structs.replace(login, port=1)

    with pytest.raises(HypervisorUnavailable):
        await asyncio.to_thread(SshMachine(login).boot_id)


class _echoing:
    def __init__(self, family: int, address: object) -> None:
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind(address)  # type: ignore[arg-type]
        self._listener.listen()

    def __enter__(self) -> socket.socket:
        threading.Thread(target=self._serve, daemon=True).start()
        return self._listener

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.sendall(connection.recv(100))
            connection.close()


def _echoed(family: int, address: object) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as asking:
        asking.settimeout(5)
        asking.connect(address)  # type: ignore[arg-type]
        asking.sendall(b"hello")
        return asking.recv(100)
