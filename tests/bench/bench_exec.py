"""Exec through the guest shell beside the same command on a bare warm SSH connection."""

import tempfile
import time
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
OVERHEAD_MS_MAX = 60
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
        figures = [await _measured(guest, command) for command in COMMANDS]
        await hypervisor.ensure_removed(guest.address.vps_id)
        await hypervisor.close()
        return figures
    finally:
        host.remove()


async def _measured(guest: RealGuest, command: str) -> Figure:
    address = guest.address
    shell = SshGuestShell(guest.private_key)
    bare = await _bare_connection(guest)

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

    await interleaved(WARM_UP_ROUNDS, by_hand, by_shell)
    bare_ms, shell_ms = await interleaved(ROUNDS, by_hand, by_shell)
    bare.close()
    await shell.close()
    return Figure(
        name=f"exec of {command!r} over a bare one, p50",
        ours=shell_ms - bare_ms,
        unit="ms",
        target=OVERHEAD_MS_MAX,
        at_most=True,
        note=f"{shell_ms:.1f} ms against {bare_ms:.1f} ms",
    )


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
