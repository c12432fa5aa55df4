"""The guest shell for guests whose port is on the loopback of a machine elsewhere: through the SSH to that machine."""

from collections.abc import Mapping

import msgspec

from adapters.ssh.machine import LOOPBACK, SshMachine
from domain.compute.ports import (
    GuestAddress,
    GuestShell,
    GuestUnreachable,
    HypervisorUnavailable,
    JobOutcome,
    JobSpec,
    UserDataSeen,
)
from domain.ids import HostId, JobId, VpsId


class RoutedGuestShell:
    """Implements ``domain.compute.ports.GuestShell``: leads to guests of ``machines``, and to all others directly."""

    def __init__(self, inner: GuestShell, machines: Mapping[HostId, SshMachine]) -> None:
        self._inner = inner
        self._machines = machines

    async def login(self, address: GuestAddress) -> None:
        """Try once, quickly, to log in."""
        await self._inner.login(await self._routed(address))

    async def run(self, address: GuestAddress, job: JobSpec) -> JobOutcome:
        """Have the job started in the guest, once, and wait for its end."""
        return await self._inner.run(await self._routed(address), job)

    async def cancel(self, address: GuestAddress, job_id: JobId) -> None:
        """Kill all of a job in the guest."""
        await self._inner.cancel(await self._routed(address), job_id)

    async def discard(self, address: GuestAddress, job_id: JobId) -> None:
        """Remove what the guest keeps of a job that has ended."""
        await self._inner.discard(await self._routed(address), job_id)

    async def find_user_data(self, address: GuestAddress) -> UserDataSeen | None:
        """Return how the user data that the guest was given has ended, as it says."""
        return await self._inner.find_user_data(await self._routed(address))

    async def forget(self, vps_id: VpsId) -> None:
        """Close what is kept open to a guest."""
        await self._inner.forget(vps_id)

    async def close(self) -> None:
        """Close every connection, to guests and to machines."""
        await self._inner.close()
        for machine in self._machines.values():
            await machine.close()

    async def _routed(self, address: GuestAddress) -> GuestAddress:
        machine = None if address.host_id is None else self._machines.get(address.host_id)
        if machine is None:
            return address
        try:
            port = await machine.lead_port(address.ssh_port)
        except HypervisorUnavailable as problem:
            raise GuestUnreachable(str(problem)) from problem
        return msgspec.structs.replace(address, ssh_host=LOOPBACK, ssh_port=port)
