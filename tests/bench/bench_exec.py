"""A command run in a guest by the service's guest shell."""

import asyncio
import tempfile
import time
from asyncio.subprocess import DEVNULL
from functools import partial
from pathlib import Path

import asyncssh

from adapters.guest_image.builder import ensure_built
from adapters.libvirt_host.host import EmbeddedHost
from adapters.libvirt_host.kvm_probe import probe_kvm
from adapters.ssh.guest_shell import SshGuestShell
from tests.bench.figures import Figure, interleaved
from tests.contracts.guest_shells import RealGuest, boot_guest, job
from tests.guests import cache_folder, hypervisor_on

ROUNDS = 40
WARM_UP_ROUNDS = 3
RUN_MAX = 2
OF_BARE_MAX = 3
BY_SSH = "the same command by stock `ssh` over a connection kept open"
BARE = "the same command on a connection of asyncssh kept open"
COMMANDS = ("uname -a", "true", "ls /etc | wc -l")
MILLISECONDS = 1_000


async def run() -> list[Figure]:
    """Boot a guest on a host of its own, and measure each command there in turns."""
    image = ensure_built(cache_folder() / "images")
    kvm = probe_kvm(image.kernel, image.initrd, cache=cache_folder() / "kvm.json").usable
    host = EmbeddedHost(Path(tempfile.mkdtemp(prefix="litevps-bench-")), images=image.folder.parent, kvm=kvm)
    try:
        host.ensure_started()
        hypervisor = hypervisor_on(host, image, accelerated=kvm)
        guest = await boot_guest(hypervisor)
        with tempfile.TemporaryDirectory() as folder:
            figures = [one for command in COMMANDS for one in await _measured(guest, command, Path(folder))]
        await hypervisor.ensure_removed(guest.address.vps_id)
        await hypervisor.close()
        return figures
    finally:
        host.remove()


async def _measured(guest: RealGuest, command: str, folder: Path) -> list[Figure]:
    address = guest.address
    shell = SshGuestShell(guest.private_key)
    bare = await _bare_connection(guest)
    ssh = _StockSsh(guest, folder)
    await ssh.open()

    async def by_hand() -> float:
        begun = time.perf_counter()
        await bare.run(command)
        return (time.perf_counter() - begun) * MILLISECONDS

    async def by_shell() -> float:
        begun, asked = time.perf_counter(), job(command)
        await shell.run(address, asked)
        taken = (time.perf_counter() - begun) * MILLISECONDS
        # Part of every exec's life: what it costs the guest falls on those that follow.
        await shell.discard(address, asked.job_id)
        return taken

    async def by_ssh() -> float:
        begun = time.perf_counter()
        await ssh.run(command)
        return (time.perf_counter() - begun) * MILLISECONDS

    await interleaved(WARM_UP_ROUNDS, by_hand, by_ssh, by_shell)
    bare_ms, ssh_ms, shell_ms = await interleaved(ROUNDS, by_hand, by_ssh, by_shell)
    bare.close()
    await ssh.close()
    await shell.close()
    name = f"exec of `{command}`"
    took = partial(Figure, measured=shell_ms, unit="ms", at_most=True)
    return [
        took(name=name, floor=ssh_ms, floor_is=BY_SSH, target=RUN_MAX),
        took(name=f"{name}, of the connection", floor=bare_ms, floor_is=BARE, target=OF_BARE_MAX),
    ]


class _StockSsh:
    """The machine's own ``ssh``, over a connection that is kept open."""

    def __init__(self, guest: RealGuest, folder: Path) -> None:
        address, identity, known_hosts = guest.address, folder / "id", folder / "known"
        identity.touch(mode=0o600)
        identity.write_text(guest.private_key)
        known_hosts.write_text(f"[{address.ssh_host}]:{address.ssh_port} {address.host_key_public}\n")
        options = (
            "BatchMode=yes",
            f"UserKnownHostsFile={known_hosts}",
            "IdentitiesOnly=yes",
            f"ControlPath={folder}/c",
        )
        self._ssh = ["ssh", "-F", "none", "-i", str(identity), "-p", str(address.ssh_port)]
        self._ssh += [argument for option in options for argument in ("-o", option)]
        self._ssh.append(f"root@{address.ssh_host}")

    async def open(self) -> None:
        """Open the connection, which stays behind in the background."""
        await self._run(*self._ssh[:-1], "-f", "-N", "-o", "ControlMaster=yes", self._ssh[-1])

    async def run(self, command: str) -> None:
        """Run a command."""
        await self._run(*self._ssh, command)

    async def close(self) -> None:
        """End the connection."""
        await self._run(*self._ssh[:-1], "-O", "exit", self._ssh[-1])

    @staticmethod
    async def _run(*command: str) -> None:
        started = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        assert await started.wait() == 0, command


async def _bare_connection(guest: RealGuest) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        guest.address.ssh_host,
        guest.address.ssh_port,
        username="root",
        client_keys=[asyncssh.import_private_key(guest.private_key)],
        known_hosts=([asyncssh.import_public_key(guest.address.host_key_public)], [], []),
        config=None,
        agent_path=None,
    )
