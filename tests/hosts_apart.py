"""Hosts in network namespaces of their own: each with a libvirt, an SSH server, and a link that can be cut."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.guest_image.builder import GuestImage
from adapters.libvirt_host.host import EmbeddedHost
from tests.guests import KeyPair, new_key_pair

SSH_PORT = 2222
_START = (
    "import sys; from pathlib import Path; from adapters.libvirt_host.host import EmbeddedHost; "
    "EmbeddedHost(Path(sys.argv[1]), images=Path(sys.argv[2]), kvm=False).ensure_started()"
)


class HostApart:
    """One of them. Nothing of it is reached from here but over its link."""

    def __init__(self, number: int, folder: Path, image: GuestImage, client: KeyPair) -> None:
        self.name = f"lv{os.getpid()}h{number}"
        network = f"10.{200 + os.getpid() % 50}.{number}"
        self.address, self._gateway = f"{network}.2", f"{network}.1"
        self.folder = folder / self.name
        self.data = self.folder / "data"
        self.embedded = EmbeddedHost(self.folder / "host", images=image.folder.parent, kvm=False)
        self._images = image.folder.parent
        self._key = new_key_pair()
        self._client = client
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Return what the settings call it."""
        parameters = f"socket={self.embedded.socket}&folder={self.data}&kvm=no"
        return f"qemu+ssh://root@{self.address}:{SSH_PORT}/system?{parameters}"

    @property
    def known_host(self) -> str:
        """Return its host key, as OpenSSH keeps it."""
        return f"[{self.address}]:{SSH_PORT} {self._key.public}\n"

    def start(self) -> None:
        """Have namespace, link, libvirt and SSH server."""
        self.folder.mkdir(mode=0o711)
        self.data.mkdir(mode=0o711)
        _ip("netns", "add", self.name)
        _ip("link", "add", self.name, "type", "veth", "peer", "name", "up0", "netns", self.name)
        _ip("address", "add", f"{self._gateway}/30", "dev", self.name)
        _ip("link", "set", self.name, "up")
        _ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", "up0")
        for link in ("lo", "up0"):
            _ip("-n", self.name, "link", "set", link, "up")
        self.start_libvirt()
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        (keys / "client.pub").write_text(self._client.public)
        (keys / "host").write_text(self._key.private)
        serve = ("-m", "tests.ssh_machines", self.address, str(SSH_PORT), str(keys))
        self._server = subprocess.Popen(self._inside(sys.executable, *serve), stdout=subprocess.PIPE)
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"serving\n"

    def start_libvirt(self) -> None:
        """Have its libvirtd run."""
        start = (sys.executable, "-c", _START, str(self.folder / "host"), str(self._images))
        subprocess.run(self._inside(*start), check=True, timeout=60)

    def kill_libvirtd(self) -> None:
        """End its libvirtd as an out-of-memory killer does; guests go on."""
        pid = int((self.folder / "host/run/libvirtd.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        while Path("/proc", str(pid)).exists():
            time.sleep(0.1)

    def cut_off(self) -> None:
        """Have nothing of it reach anybody: no answer, no refusal."""
        _ip("-n", self.name, "link", "set", "up0", "down")

    def bring_back(self) -> None:
        """Mend its link."""
        _ip("-n", self.name, "link", "set", "up0", "up")

    def remove(self) -> None:
        """Have nothing left of it."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        if self.folder.exists():
            self.embedded.remove()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.name], capture_output=True, check=False)

    def _inside(self, *command: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name, *command)


@contextmanager
def hosts_apart(count: int, image: GuestImage) -> Iterator[tuple[list[HostApart], Path]]:
    """Give hosts that run, and a folder with the key that opens them, ``key``, and their host keys, ``known_hosts``."""
    folder = Path(tempfile.mkdtemp(prefix="lv"))
    folder.chmod(0o711)
    client = new_key_pair()
    hosts = [HostApart(number, folder, image, client) for number in range(1, count + 1)]
    try:
        for host in hosts:
            host.start()
        (folder / "key").touch(mode=0o600)
        (folder / "key").write_text(client.private)
        (folder / "known_hosts").write_text("".join(host.known_host for host in hosts))
        yield hosts, folder
    finally:
        for host in hosts:
            host.remove()
        shutil.rmtree(folder)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=20)
