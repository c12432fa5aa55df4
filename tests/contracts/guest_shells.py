"""Ways into a guest, real and played, for the contract of the guest shell."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import msgspec

from adapters.simulated.guest_shell import SimulatedGuestShell
from adapters.simulated.host import SimulatedHost
from adapters.simulated.hypervisor import SimulatedHypervisor
from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.ports import GuestAddress, GuestShell, GuestUnreachable, Hypervisor, JobSpec
from domain.ids import HostId, JobId
from tests.guests import SystemClock, guest_spec, new_key_pair

LOGIN_DEADLINE_S = 60
LOGIN_PAUSE_S = 0.2
TOLD_DEADLINE_S = 60
TOLD_PAUSE_S = 0.1


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
    age_s: float = 0,
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
        age_s=age_s,
    )


async def until_told(way: Way, command: str, expected: bytes) -> None:
    """Wait until a command in the guest writes just this; raises TimeoutError if it takes too long."""
    async with asyncio.timeout(TOLD_DEADLINE_S):
        while True:
            if (await way.shell.run(way.address, job(command))).stdout.text == expected:
                return
            await asyncio.sleep(TOLD_PAUSE_S)


async def simulated_way() -> Way:
    """Return the way into a played guest that is up."""
    host = SimulatedHost(HostId(uuid4()), SystemClock())
    keys = new_key_pair()
    spec = guest_spec(keys, keys)
    hypervisor = SimulatedHypervisor(host)
    await hypervisor.ensure_prepared(spec)
    await hypervisor.ensure_running(spec)
    address = GuestAddress(
        vps_id=spec.vps_id, ssh_host=host.ssh_host, ssh_port=spec.ssh_port, host_key_public=keys.public
    )
    return Way(address, lambda: SimulatedGuestShell([host]), SimulatedGuestShell([host]))


class RealGuest(msgspec.Struct, frozen=True):
    """A guest that lets us in, and the service's private key to it."""

    address: GuestAddress
    private_key: str


@contextmanager
def booted_guest(hypervisor: Hypervisor) -> Iterator[RealGuest]:
    """Boot a guest for a module of tests; nothing is left of it afterwards."""
    guest = asyncio.run(boot_guest(hypervisor))
    try:
        yield guest
    finally:
        asyncio.run(hypervisor.ensure_removed(guest.address.vps_id))


async def boot_guest(hypervisor: Hypervisor) -> RealGuest:
    """Boot a guest on a real host and wait until it lets us in."""
    ours, its = new_key_pair(), new_key_pair()
    spec = guest_spec(its, ours, memory_mb=256)
    address = GuestAddress(
        vps_id=spec.vps_id,
        ssh_host=hypervisor.ssh_host,
        ssh_port=spec.ssh_port,
        host_key_public=its.public,
    )
    shell = SshGuestShell(ours.private)
    try:
        await hypervisor.ensure_prepared(spec)
        await hypervisor.ensure_running(spec)
        await until_logged_in(shell, address)
    except BaseException:
        await hypervisor.ensure_removed(spec.vps_id)
        raise
    await shell.close()
    return RealGuest(address, ours.private)


async def until_logged_in(shell: GuestShell, address: GuestAddress) -> None:
    """Try to log in until it is done; raises TimeoutError if it takes too long."""
    async with asyncio.timeout(LOGIN_DEADLINE_S):
        while True:
            try:
                return await shell.login(address)
            except GuestUnreachable:
                await asyncio.sleep(LOGIN_PAUSE_S)
