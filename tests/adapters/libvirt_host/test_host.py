"""The embedded host: alone in its folder, shut to others, adopted rather than started twice."""

import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import libvirt
import pytest

from adapters.libvirt_host.host import EmbeddedHost, HostNotStarted
from tests.guests import remove_host

pytestmark = pytest.mark.host

GUEST = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>
"""


@pytest.fixture
def host() -> Iterator[EmbeddedHost]:
    """Give a host that was never started; whatever runs there is ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"litevps-host-{os.getpid()}-"))
    (folder / "images").mkdir()
    host = EmbeddedHost(folder / "host", images=folder / "images")
    yield host
    remove_host(host, folder)


def pid_of(host: EmbeddedHost, daemon: str) -> int:
    return int((host.socket.parent / f"{daemon}.pid").read_text())


def names_of(host: EmbeddedHost) -> set[str]:
    connection = libvirt.open(host.uri)
    try:
        return {domain.name() for domain in connection.listAllDomains()}
    finally:
        connection.close()


def start_guest(host: EmbeddedHost, name: str) -> None:
    connection = libvirt.open(host.uri)
    connection.defineXML(GUEST.format(name=name)).create()
    connection.close()


def guest_runs(host: EmbeddedHost, name: str) -> bool:
    connection = libvirt.open(host.uri)
    try:
        return bool(connection.lookupByName(name).isActive())
    finally:
        connection.close()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


def test_only_its_owner_may_ask_and_only_by_the_socket(host: EmbeddedHost) -> None:
    host.ensure_started()
    run = host.socket.parent
    sockets = [path for path in run.rglob("*") if stat.S_ISSOCK(path.stat().st_mode)]
    assert host.socket in sockets
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in sockets} == {0}
    inodes = set(open_files_of(pid_of(host, "libvirtd")))
    table = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = {line.split()[9] for line in table.splitlines() if len(line.split()) > 9 and line.split()[3] == "0A"}
    assert {f"socket:[{inode}]" for inode in listening} & inodes == set()


def test_nothing_outside_its_folder_is_touched(host: EmbeddedHost) -> None:
    def outside() -> object:
        places = ("/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/run/libvirt")
        found = [path for place in places for path in sorted(Path(place).rglob("*"))]
        return [(str(path), path.lstat().st_mtime_ns) for path in found], Path("/proc/self/mounts").read_text()

    before = outside()
    host.ensure_started()
    start_guest(host, "one")
    assert outside() == before


def test_a_host_that_runs_is_taken_over(host: EmbeddedHost) -> None:
    host.ensure_started()
    first = pid_of(host, "libvirtd")
    assert host.ensure_started() == host.uri
    assert pid_of(host, "libvirtd") == first


def test_guests_outlive_the_daemon(host: EmbeddedHost) -> None:
    host.ensure_started()
    start_guest(host, "one")
    os.kill(pid_of(host, "libvirtd"), signal.SIGKILL)
    os.kill(pid_of(host, "virtlogd"), signal.SIGKILL)
    host.ensure_started()
    assert guest_runs(host, "one")
    host.stop(kill_guests=False)
    qemu = pid_of(host, "qemu/one")
    assert not is_gone(qemu)
    host.ensure_started()
    assert guest_runs(host, "one")
    assert pid_of(host, "qemu/one") == qemu


def test_stopping_ends_everything_if_told(host: EmbeddedHost) -> None:
    host.ensure_started()
    start_guest(host, "one")
    pids = [pid_of(host, name) for name in ("libvirtd", "virtlogd", "qemu/one")]
    host.stop(kill_guests=True)
    host.stop(kill_guests=True)
    assert [pid for pid in pids if not is_gone(pid)] == []
    host.ensure_started()
    assert names_of(host) == {"one"}
    assert not guest_runs(host, "one")


def test_two_hosts_on_one_machine_do_not_meet(host: EmbeddedHost, libvirt_host: EmbeddedHost) -> None:
    host.ensure_started()
    start_guest(host, "only-here")
    assert names_of(host) == {"only-here"}
    assert "only-here" not in names_of(libvirt_host)


def test_after_a_boot_of_the_machine_nothing_is_believed_of_the_one_before(host: EmbeddedHost) -> None:
    host.ensure_started()
    start_guest(host, "one")
    host.stop(kill_guests=True)
    run = host.socket.parent
    (run.parent / "boot-id").write_text("another boot")
    (run / "libvirtd.pid").write_text("1")
    (run / "qemu/one.xml").write_text("<domstatus state='running' pid='1'/>")
    host.ensure_started()
    assert not guest_runs(host, "one")


def test_a_folder_with_too_long_a_name_is_refused_with_the_reason(tmp_path: Path) -> None:
    host = EmbeddedHost(tmp_path / ("long" * 30), images=tmp_path)
    with pytest.raises(HostNotStarted, match="shorter"):
        host.ensure_started()


def test_stopping_a_host_that_never_was_is_done(tmp_path: Path) -> None:
    EmbeddedHost(tmp_path / "nowhere", images=tmp_path).stop(kill_guests=True)
    assert not (tmp_path / "nowhere").exists()


def open_files_of(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        # A file may be closed between the list and the look.
        with suppress(FileNotFoundError):
            yield link.readlink().name
