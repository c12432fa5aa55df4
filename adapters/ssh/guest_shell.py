"""The guest shell port by SSH: logins over kept connections, and jobs through launchers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import uuid4

import asyncssh

from adapters.ssh import user_data
from adapters.ssh.connection import Dial, dial_directly
from adapters.ssh.launcher import JobStuck, Launcher, LauncherBroken
from adapters.ssh.pool import GuestPool
from domain.compute.ports import GuestAddress, GuestUnreachable, JobOutcome, JobSpec, UserDataSeen
from domain.ids import JobId, VpsId

GUESTS_KEPT_MAX = 1_000
"""How many guests have connections kept open; past it, those used longest ago are closed."""
DEADLINE_GRACE_S = 10.0
"""How long after its time-out a job may stay unanswered before we end it ourselves."""
SETTLE_TIMEOUT_S = 40.0
TRIES_MAX = 2
"""A connection that turns out to be dead is replaced once."""

_Answer = TypeVar("_Answer")


class SshGuestShell:
    """Logs in as root with the service's own key; ``client_key`` is OpenSSH private key text."""

    def __init__(
        self, client_key: str, *, deadline_grace_s: float = DEADLINE_GRACE_S, dial: Dial = dial_directly
    ) -> None:
        """``dial``: how a guest is reached from here, where that is not the address that everybody is told."""
        self._dial = dial
        self._client_key = asyncssh.import_private_key(client_key)
        self._deadline_grace_s = deadline_grace_s
        self._pools: OrderedDict[VpsId, GuestPool] = OrderedDict()

    async def login(self, address: GuestAddress) -> None:
        """Try once, quickly, to log in; the connection is kept."""
        await (await self._pool(address)).login()

    async def run(self, address: GuestAddress, job: JobSpec) -> JobOutcome:
        """Have the job started in the guest, once, and wait for its end.

        Raises ValueError for a command, folder, user or variable with NUL, or a name that is no variable's.
        """

        try:
            return await self._run_within(job.timeout_s + self._deadline_grace_s, address, job, for_job=True)
        except _Overdue:
            return await self._end_overdue(address, job)

    async def cancel(self, address: GuestAddress, job_id: JobId) -> None:
        """Kill all of a job in the guest; one that was never started never will be."""
        await self._with_launcher(address, lambda launcher: launcher.end(job_id, "cancelled"))

    async def discard(self, address: GuestAddress, job_id: JobId) -> None:
        """Remove what the guest keeps of a job that has ended."""
        await self._with_launcher(address, lambda launcher: launcher.discard(job_id))

    async def find_user_data(self, address: GuestAddress) -> UserDataSeen | None:
        """Return how the user data that the guest was given has ended, as it says."""
        job = JobSpec(JobId(uuid4()), user_data.COMMAND, user_data.TIMEOUT_S, user_data.ANSWER_BYTES_MAX)
        outcome = await self.run(address, job)
        await self.discard(address, job.job_id)
        return user_data.read_answer(outcome)

    async def forget(self, vps_id: VpsId) -> None:
        """Close what is kept open to a guest."""
        pool = self._pools.pop(vps_id, None)
        if pool is not None:
            await pool.close()

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = list(self._pools.values()), OrderedDict()
        await asyncio.gather(*(pool.close() for pool in pools))

    async def _run_within(self, span_s: float, address: GuestAddress, job: JobSpec, *, for_job: bool) -> JobOutcome:
        begun_s = time.monotonic()

        async def run(launcher: Launcher) -> JobOutcome:
            try:
                async with asyncio.timeout(span_s):
                    # Jobs wait for a launcher, and are asked for again over a new connection: each time they are older.
                    return await launcher.run(job, age_s=job.age_s + time.monotonic() - begun_s)
            except TimeoutError as error:
                raise _Overdue from error

        return await self._with_launcher(address, run, for_job=for_job)

    async def _end_overdue(self, address: GuestAddress, job: JobSpec) -> JobOutcome:
        """The guest's own watchdog did not fire: end the job from here, then ask for what became of it."""
        await self._with_launcher(address, lambda launcher: launcher.end(job.job_id, "timeout"))
        try:
            return await self._run_within(SETTLE_TIMEOUT_S, address, job, for_job=False)
        except _Overdue as error:
            raise GuestUnreachable("the guest does not say how the job ended") from error

    async def _with_launcher(
        self, address: GuestAddress, ask: Callable[[Launcher], Awaitable[_Answer]], *, for_job: bool = False
    ) -> _Answer:
        pool = await self._pool(address)
        for tries_left in reversed(range(TRIES_MAX)):
            try:
                async with pool.launcher(for_job=for_job) as launcher:
                    return await ask(launcher)
            except JobStuck as error:
                raise GuestUnreachable(str(error)) from error
            except (LauncherBroken, asyncssh.Error, OSError) as error:
                # Requests name their job, so that asking again does nothing twice.
                if not tries_left:
                    raise GuestUnreachable(f"the connection was lost: {error}") from error
        raise AssertionError("unreachable")

    async def _pool(self, address: GuestAddress) -> GuestPool:
        pool = self._pools.get(address.vps_id)
        if pool is not None and pool.address != address:
            await self.forget(address.vps_id)
            pool = None
        if pool is None:
            pool = self._pools[address.vps_id] = GuestPool(address, self._client_key, self._dial)
            await self._close_longest_unused()
        self._pools.move_to_end(address.vps_id)
        return pool

    async def _close_longest_unused(self) -> None:
        excess = len(self._pools) - GUESTS_KEPT_MAX
        if excess <= 0:
            return
        idle = [vps_id for vps_id, pool in self._pools.items() if not pool.busy]
        for vps_id in idle[:excess]:
            await self.forget(vps_id)


class _Overdue(Exception):
    """No answer in the time that it may take."""
