"""The connection to a libvirtd that stops answering, or dies."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from adapters.libvirt.connection import HostConnection
from adapters.libvirt_host.host import EmbeddedHost
from domain.compute.ports import HypervisorUnavailable
from tests.guests import remove_host

pytestmark = [pytest.mark.anyio, pytest.mark.host]


@pytest.fixture
def host() -> Iterator[EmbeddedHost]:
    """Give a running host that a test may be rude to."""
    folder = Path(tempfile.mkdtemp(prefix=f"litevps-host-{os.getpid()}-"))
    (folder / "images").mkdir()
    host = EmbeddedHost(folder / "host", images=folder / "images")
    host.ensure_started()
    yield host
    signal_daemon(host, signal.SIGCONT)
    remove_host(host, folder)


def signal_daemon(host: EmbeddedHost, number: int) -> None:
    os.kill(int((host.socket.parent / "libvirtd.pid").read_text()), number)


def version(connection: libvirt.virConnect) -> int:
    return int(connection.getLibVersion())


async def test_a_daemon_that_hangs_is_waited_for_only_so_long(host: EmbeddedHost) -> None:
    connection = HostConnection(host.uri, timeout_s=1.0)
    assert await connection.call(version)
    signal_daemon(host, signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(HypervisorUnavailable):
            await connection.call(version)
    assert time.monotonic() - began < 4
    signal_daemon(host, signal.SIGCONT)
    assert await connection.call(version)
    await connection.close()


async def test_a_daemon_that_died_is_started_again_by_whoever_can(host: EmbeddedHost) -> None:
    lonely = HostConnection(host.uri)
    cared_for = HostConnection(host.uri, revive=host.ensure_started)
    assert await lonely.call(version)
    assert await cared_for.call(version)
    signal_daemon(host, signal.SIGKILL)
    with pytest.raises(HypervisorUnavailable):
        await lonely.call(version)
    assert await cared_for.call(version)
    assert await lonely.call(version)
    await lonely.close()
    await cared_for.close()


async def test_what_libvirt_refuses_is_told_and_the_connection_kept(host: EmbeddedHost) -> None:
    connection = HostConnection(host.uri)
    with pytest.raises(HypervisorUnavailable, match="no domain with matching name"):
        await connection.call(lambda opened: opened.lookupByName("nobody"))
    assert await connection.call(version)
    assert connection.opened == 1
    await connection.close()
