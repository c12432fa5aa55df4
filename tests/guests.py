"""Real guests for tests: one image a recipe, one embedded host a session, and what a guest is asked for."""

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from uuid_utils.compat import uuid7

from adapters.guest_image.builder import GuestImage, ensure_built
from adapters.libvirt.folders import HostFolders
from adapters.libvirt.host_files import LocalHostFiles
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import probe_kvm
from domain.compute.ports import GuestNetwork, GuestSpec
from domain.ids import HostId, LedgerId, VpsId
from domain.time import Instant
from tests.ports import free_port

SSH_TIMEOUT_S = 60.0
LEDGER, ANOTHER_LEDGER = LedgerId(UUID(int=501)), LedgerId(UUID(int=502))


class SystemClock:
    """The machine's clock."""

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.time_ns() // 1000)


class KeyPair(msgspec.Struct, frozen=True):
    """An Ed25519 key pair in OpenSSH's forms."""

    private: str
    public: str


def new_key_pair() -> KeyPair:
    """Make a key pair, for a guest's SSH host or for somebody who logs in."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(private=private.decode(), public=public.decode())


def cache_folder() -> Path:
    """Return where what takes long to make is kept from one session of tests to the next."""
    return Path(os.environ.get("LITEVPS_TEST_CACHE", "~/.cache/litevps-test")).expanduser()


def guest_spec(host_key: KeyPair, login_key: KeyPair, **changes: object) -> GuestSpec:
    """Return what a small guest is asked for; ``changes`` replace fields of it."""
    spec = GuestSpec(
        vps_id=VpsId(UUID(str(uuid7()))),
        generation=1,
        hostname="box",
        vcpu=1,
        memory_mb=128,
        disk_gb=1,
        image="debian-12-lite",
        ssh_port=free_port(),
        authorized_keys=(login_key.public,),
        host_key_private=host_key.private,
    )
    return msgspec.structs.replace(spec, **changes)


class Login:
    """Logs into a guest by the machine's own ``ssh``, which is nobody's mock."""

    def __init__(self, folder: Path, port: int, host_key: KeyPair, login_key: KeyPair) -> None:
        self._port = port
        self._identity = folder / f"id-{port}-{secrets.token_hex(4)}"
        self._identity.touch(mode=0o600)
        self._identity.write_text(login_key.private)
        self._known_hosts = self._identity.with_suffix(".known")
        self._known_hosts.write_text(f"[127.0.0.1]:{port} {host_key.public}\n")

    def run(self, command: str, *, timeout_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run a command in the guest; ssh's own failures end with 255."""
        options = (
            "BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self._known_hosts}",
            "ConnectTimeout=5", "IdentitiesOnly=yes",
        )  # fmt: skip
        arguments = [argument for option in options for argument in ("-o", option)]
        return subprocess.run(
            ["ssh", "-F", "none", "-i", str(self._identity), "-p", str(self._port), *arguments,
             "root@127.0.0.1", command],
            capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def wait(self, timeout_s: float = SSH_TIMEOUT_S) -> None:
        """Wait for the guest's SSH to answer; QEMU itself takes connections long before the guest does."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=0.7) as probe:
                    probe.settimeout(0.7)
                    if probe.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"no SSH on port {self._port} after {timeout_s:.0f} s")


def folders_of(host: EmbeddedHost) -> HostFolders:
    """Return an embedded host's folders under both of their names."""
    return HostFolders(
        guests=host.guests,
        images=host.images,
        guests_inside=host.guests_inside,
        images_inside=host.images_inside,
        guest_logs=host.guest_logs,
    )


def hypervisor_on(
    host: EmbeddedHost,
    image: GuestImage,
    *,
    accelerated: bool,
    revived: bool = True,
    ledger_id: LedgerId = LEDGER,
    network: GuestNetwork | None = None,
    ssh_host: str = "127.0.0.1",
) -> LibvirtHypervisor:
    """Return a hypervisor that drives an embedded host and, if told, starts it again should it die."""
    return LibvirtHypervisor(
        host_id=HostId(UUID(str(uuid7()))),
        ledger_id=ledger_id,
        uri=host.uri,
        files=LocalHostFiles(folders_of(host), {image.name: image.key}, ledger_id),
        accelerated=accelerated,
        clock=SystemClock(),
        revive=host.ensure_started if revived else None,
        network=network,
        ssh_host=ssh_host,
    )


@pytest.fixture(scope="session")
def guest_image() -> GuestImage:
    """The lite guest, built when its recipe is new to this machine."""
    return ensure_built(cache_folder() / "images")


@pytest.fixture(scope="session")
def accelerated(guest_image: GuestImage) -> bool:
    """Whether KVM works on this machine."""
    return probe_kvm(guest_image.kernel, guest_image.initrd, cache=cache_folder() / "kvm.json").usable


@pytest.fixture(scope="session")
def libvirt_host(guest_image: GuestImage, accelerated: bool) -> Iterator[EmbeddedHost]:
    """A running host of this session's own; whatever is left on it is removed at the end."""
    _remove_hosts_of_the_dead()
    folder = Path(tempfile.mkdtemp(prefix=f"litevps-host-{os.getpid()}-"))
    host = EmbeddedHost(folder / "host", images=guest_image.folder.parent, kvm=accelerated)
    host.ensure_started()
    yield host
    remove_host(host, folder)


@pytest.fixture(scope="session")
def hypervisor(libvirt_host: EmbeddedHost, guest_image: GuestImage, accelerated: bool) -> Iterator[LibvirtHypervisor]:
    """The session's host, driven through libvirt."""
    hypervisor = hypervisor_on(libvirt_host, guest_image, accelerated=accelerated)
    yield hypervisor
    asyncio.run(hypervisor.close())


def remove_host(host: EmbeddedHost, folder: Path) -> None:
    """Remove a host and the folder that was made for it."""
    host.remove()
    shutil.rmtree(folder, ignore_errors=True)


def _remove_hosts_of_the_dead() -> None:
    """Remove hosts whose session was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob("litevps-host-*"):
        owner = folder.name.split("-")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove_host(EmbeddedHost(folder / "host", images=folder), folder)
