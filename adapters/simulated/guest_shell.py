"""The guest shell port into the guests of played hosts."""

import asyncio
from collections.abc import Iterable

from adapters.simulated.commands import play_command
from adapters.simulated.host import SimulatedGuest, SimulatedHost
from adapters.simulated.jobs import Play, PlayedJob
from domain.compute.ports import GuestAddress, GuestUnreachable, HostKeyChanged, JobOutcome, JobSpec, UserDataSeen
from domain.ids import JobId, VpsId
from domain.time import seconds

POLL_S = 0.002


class SimulatedGuestShell:
    """Logins into played guests, found by the address that their host leads to them.

    With ``client_key_public`` only guests that hold this key among their authorized keys let it in.
    """

    def __init__(self, hosts: Iterable[SimulatedHost], *, client_key_public: str | None = None) -> None:
        self._hosts = list(hosts)
        self._client_key = client_key_public.split()[:2] if client_key_public else None

    async def login(self, address: GuestAddress) -> None:
        """Try once to log in."""
        await asyncio.sleep(0)
        self._guest(address)

    async def run(self, address: GuestAddress, job: JobSpec) -> JobOutcome:
        """Have the job started in the guest, once, and wait for its end on the host's clock."""
        await asyncio.sleep(0)
        host, guest = self._guest(address)
        played = guest.jobs.get(job.job_id)
        if played is None:
            played = guest.jobs[job.job_id] = _start(host, guest, job)
        while not played.ended(host.clock.now(), guest.boots):
            await asyncio.sleep(POLL_S)
            _, guest = self._guest(address)
        return played.outcome(guest.boots)

    async def cancel(self, address: GuestAddress, job_id: JobId) -> None:
        """End a job, if it runs; one that was never started never will be."""
        await asyncio.sleep(0)
        host, guest = self._guest(address)
        if job_id in guest.jobs:
            guest.jobs[job_id].cancel(host.clock.now(), guest.boots)
        else:
            guest.cancelled_ahead.add(job_id)

    async def discard(self, address: GuestAddress, job_id: JobId) -> None:
        """Forget a job that has ended."""
        await asyncio.sleep(0)
        host, guest = self._guest(address)
        job = guest.jobs.get(job_id)
        if job is not None and job.ended(host.clock.now(), guest.boots):
            del guest.jobs[job_id]

    async def find_user_data(self, address: GuestAddress) -> UserDataSeen | None:
        """Return what the guest was made to say."""
        await asyncio.sleep(0)
        _, guest = self._guest(address)
        return guest.user_data_seen

    async def forget(self, vps_id: VpsId) -> None:
        """Nothing is kept open."""

    async def close(self) -> None:
        """Nothing is kept open."""

    def _guest(self, address: GuestAddress) -> tuple[SimulatedHost, SimulatedGuest]:
        for host in self._hosts:
            for guest in host.guests.values():
                at_address = host.ssh_host == address.ssh_host and guest.spec.ssh_port == address.ssh_port
                if at_address and guest.answers(host.clock.now()):
                    self._check_keys(guest, address)
                    return host, guest
        raise GuestUnreachable("nothing answers at this address")

    def _check_keys(self, guest: SimulatedGuest, address: GuestAddress) -> None:
        if guest.host_key_public.split()[:2] != address.host_key_public.split()[:2]:
            raise HostKeyChanged("the guest has another host key")
        authorized = [line.split()[:2] for line in guest.spec.authorized_keys]
        if self._client_key is not None and self._client_key not in authorized:
            raise GuestUnreachable("the guest does not let this key in")


def _start(host: SimulatedHost, guest: SimulatedGuest, job: JobSpec) -> PlayedJob:
    if job.job_id in guest.cancelled_ahead:
        played = PlayedJob(job, Play((), 0, 0), host.clock.now(), guest.boots)
        played.cancel_unstarted()
        return played
    if host.clock.now() - guest.answers_from < seconds(job.age_s):
        # It was asked for before the guest was booted, and nothing is known of it: it may have run.
        return PlayedJob(job, Play((), 0, 0), host.clock.now(), guest.boots - 1)
    play = play_command(job, guest.spec.hostname, guest.files)
    return PlayedJob(job, play, host.clock.now(), guest.boots)
