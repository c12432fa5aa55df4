"""What is kept open to one guest: connections, and launchers on them that wait for a job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncssh

from adapters.ssh.connection import LONG_GREETING_S, QUICK_GREETING_S, Dial, connect, dial_directly
from adapters.ssh.launcher import Launcher
from domain.compute.ports import GuestAddress, GuestUnreachable

JOBS_AT_ONCE_MAX = 32
CONTROLS_AT_ONCE_MAX = 4
CONNECTIONS_MAX = 5
"""One in the usual case; more only where the guest's sshd refuses further sessions on one (MaxSessions,
10 by default) and more commands than that run at once."""
IDLE_LAUNCHERS_MAX = 2
CLOSE_TIMEOUT_S = 2.0


class _Kept:
    """One connection, and the launchers on it."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection
        self.idle: list[Launcher] = []
        self.launchers = 0
        self.launchers_max = JOBS_AT_ONCE_MAX + CONTROLS_AT_ONCE_MAX

    @property
    def usable(self) -> bool:
        return not self.connection.is_closed()


class GuestPool:
    """Connections to one guest at one address. A job that finds no free launcher waits for its turn."""

    def __init__(self, address: GuestAddress, client_key: asyncssh.SSHKey, dial: Dial = dial_directly) -> None:
        self.address = address
        self._dial = dial
        self._client_key = client_key
        self._kept: list[_Kept] = []
        self._opening = asyncio.Lock()
        self._jobs = asyncio.Semaphore(JOBS_AT_ONCE_MAX)
        self._controls = asyncio.Semaphore(CONTROLS_AT_ONCE_MAX)

    @property
    def busy(self) -> bool:
        """Return whether a request is under way."""
        return any(kept.launchers > len(kept.idle) for kept in self._kept)

    async def login(self) -> None:
        """Log in anew, whatever is kept: a kept connection proves nothing about a guest that was restarted."""
        fresh = _Kept(await self._connect(QUICK_GREETING_S))
        if not self.busy:
            self._let_go()
        if len(self._kept) < CONNECTIONS_MAX:
            self._kept.insert(0, fresh)
        else:
            fresh.connection.close()

    @asynccontextmanager
    async def launcher(self, *, for_job: bool) -> AsyncIterator[Launcher]:
        """Lend a launcher; it is kept for the next one only if nothing went wrong with it.

        Jobs and short requests have slots of their own, so that a job can be ended however many run.
        Raises GuestUnreachable, HostKeyChanged, LauncherBroken or asyncssh's errors.
        """
        async with self._jobs if for_job else self._controls:
            kept, launcher = await self._take()
            try:
                yield launcher
            except BaseException:
                launcher.close()
                kept.launchers -= 1
                raise
            if launcher.usable and len(kept.idle) < IDLE_LAUNCHERS_MAX:
                kept.idle.append(launcher)
            else:
                launcher.close()
                kept.launchers -= 1

    async def _connect(self, greeting_s: float) -> asyncssh.SSHClientConnection:
        return await connect(self.address, self._client_key, greeting_s=greeting_s, dial=self._dial)

    async def _take(self) -> tuple[_Kept, Launcher]:
        for kept in self._kept:
            while kept.usable and kept.idle:
                launcher = kept.idle.pop()
                if launcher.usable:
                    return kept, launcher
                kept.launchers -= 1
        while True:
            kept = await self._with_room()
            try:
                return kept, await Launcher.start(kept.connection)
            except asyncssh.ChannelOpenError:
                kept.launchers -= 1
                if not kept.launchers:
                    raise
                kept.launchers_max = kept.launchers
            except BaseException:
                kept.launchers -= 1
                raise

    async def _with_room(self) -> _Kept:
        """Return a connection with room for one more launcher, which is counted already."""
        async with self._opening:
            self._kept = [kept for kept in self._kept if kept.usable]
            for kept in self._kept:
                if kept.launchers < kept.launchers_max:
                    break
            else:
                if len(self._kept) >= CONNECTIONS_MAX:
                    raise GuestUnreachable("the guest's sshd lets too few commands run at once")
                kept = _Kept(await self._connect(LONG_GREETING_S))
                self._kept.append(kept)
            kept.launchers += 1
            return kept

    async def close(self) -> None:
        """Close all that is open; requests under way fail, jobs in the guest go on."""
        closing = self._let_go()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                for kept in closing:
                    await kept.connection.wait_closed()
        except TimeoutError:
            for kept in closing:
                kept.connection.abort()

    def _let_go(self) -> list[_Kept]:
        closing, self._kept = self._kept, []
        for kept in closing:
            kept.connection.close()
        return closing
