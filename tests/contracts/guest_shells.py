"""Ways into a guest, real and played, for the contract of the guest shell."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec

from adapters.guest_image.builder import GuestImage
from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.ssh.guest_shell import SshGuestShell
from adapters.ssh.keys import ensure_service_key, new_host_key
from domain.compute.ports import GuestAddress, GuestShell, GuestSpec, GuestUnreachable, JobSpec
from domain.ids import HostId, JobId, VpsId
from domain.time import Instant
from tests.adapters.ssh.plain_guest import plain_guest

LOGIN_DEADLINE_S = 60
LOGIN_PAUSE_S = 0.2


class WallClock:
    """The time of day, so that played jobs take as long as real ones."""

    def now(self) -> Instant:
        return Instant(time.time_ns() // 1_000)


class Way(msgspec.Struct):
    """A guest, and shells into it: each new one stands for a process of the service of its own."""

    address: GuestAddress
    new_shell: Callable[[], GuestShell]
    shell: GuestShell


def job(
    command: str,
    *,
    job_id: JobId | None = None,
    timeout_s: int = 20,
    output_limit_bytes: int = 10_000,
    cwd: str | None = None,
    env: dict[str, str] | None = None,
    stdin: str | None = None,
    user: str | None = None,
) -> JobSpec:
    """Return a job with the usual bounds."""
    return JobSpec(
        job_id=job_id or JobId(uuid4()),
        command=command,
        timeout_s=timeout_s,
        output_limit_bytes=output_limit_bytes,
        cwd=cwd,
        env=env or {},
        stdin=stdin,
        user=user,
    )


async def simulated_way() -> Way:
    """Return the way into a played guest that is up."""
    host = SimulatedHost(HostId(uuid4()), WallClock())
    spec = GuestSpec(
        vps_id=VpsId(uuid4()),
        generation=1,
        hostname="played",
        vcpu=1,
        memory_mb=128,
        disk_gb=1,
        image="lite",
        ssh_port=2201,
        authorized_keys=(),
        host_key_private=(keys := new_host_key())[0],
    )
    hypervisor = SimulatedHypervisor(host)
    await hypervisor.ensure_prepared(spec)
    await hypervisor.ensure_running(spec)
    address = GuestAddress(vps_id=spec.vps_id, ssh_host=host.ssh_host, ssh_port=spec.ssh_port, host_key_public=keys[1])
    return Way(address, lambda: SimulatedGuestShell([host]), SimulatedGuestShell([host]))


@contextmanager
def booted_guest(image: GuestImage, folder: Path) -> Iterator[tuple[GuestAddress, str]]:
    """Boot a real guest and wait until it lets us in; yield its address and our private key."""
    private, public = ensure_service_key(folder / "ssh")
    with plain_guest(image, folder, public) as address:
        asyncio.run(_until_logged_in(SshGuestShell(private), address))
        yield address, private


async def _until_logged_in(shell: SshGuestShell, address: GuestAddress) -> None:
    async with asyncio.timeout(LOGIN_DEADLINE_S):
        while True:
            try:
                await shell.login(address)
                break
            except GuestUnreachable:
                await asyncio.sleep(LOGIN_PAUSE_S)
    await shell.close()
