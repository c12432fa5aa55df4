"""A machine that runs guests, reached by SSH: its files, the socket of its libvirtd, and the ports of its guests.

One connection carries all of it. It is made with the key and the known hosts that the settings name, and with nothing
else of the machine that we run on: no configuration, no agent, no other key.
"""

import asyncio
import shlex
from collections.abc import Coroutine
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from uuid import uuid4

import asyncssh
import msgspec

from domain.compute.ports import HypervisorUnavailable

CONNECT_TIMEOUT_S = 8.0
"""Shorter than what a look at a host may take before it counts as silent."""
CALL_TIMEOUT_S = 20.0
PUT_TIMEOUT_S = 600.0
"""For an image; how long anybody waits for that is theirs to say."""
WRITTEN_AT_ONCE_BYTES = 1024 * 1024
READ_BYTES_MAX = 64 * 1024
KEEPALIVE_S = 5.0
KEEPALIVES_MISSED_MAX = 3
LOOPBACK = "127.0.0.1"
"""Where guests' ports are on their host, and here."""

T = TypeVar("T")


class MachineLogin(msgspec.Struct, frozen=True):
    """How to get into a machine."""

    hostname: str
    port: int
    user: str
    client_key: str
    """OpenSSH private key text."""
    known_hosts: str
    """Lines as OpenSSH keeps them: no other host key is accepted."""


class SshMachine:
    """Implements ``adapters.libvirt.remote_files.RemoteMachine``. To be made in the loop that its calls run in."""

    def __init__(self, login: MachineLogin) -> None:
        self._login = login
        self._client_key = asyncssh.import_private_key(login.client_key)
        self._known_hosts = asyncssh.import_known_hosts(login.known_hosts)
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._ports: dict[int, asyncssh.SSHListener] = {}
        """By the port of the machine; they end with the connection."""
        self._socket: asyncssh.SSHListener | None = None

    def boot_id(self) -> str:
        """Return what names its present boot; blocks."""
        return self._wait(self._read_boot_id(), CALL_TIMEOUT_S)

    def names(self, folder: PurePosixPath) -> frozenset[str]:
        """Return the names of what is in a folder; none where there is no such folder; blocks."""
        return self._wait(self._names(folder), CALL_TIMEOUT_S)

    def read(self, file: PurePosixPath) -> str | None:
        """Return a small file's text; None where there is none; blocks."""
        return self._wait(self._read(file), CALL_TIMEOUT_S)

    def put(self, ours: Path, file: PurePosixPath, *, mode: int) -> None:
        """Bring a file there, whole and on disk, with its folder; one that is there stays as it is; blocks."""
        self._wait(self._put(ours, file, mode), PUT_TIMEOUT_S)

    def remove_abandoned(self, folder: PurePosixPath) -> None:
        """Have nothing left in a folder of files whose bringing was broken off long ago; blocks."""
        self._wait(self._remove_abandoned(folder), CALL_TIMEOUT_S)

    def remove(self, folder: PurePosixPath) -> None:
        """Have no such folder, whatever is in it; blocks."""
        self._wait(self._remove(folder), CALL_TIMEOUT_S)

    def disk_bytes(self, folder: PurePosixPath) -> int:
        """Return how large the file system of a folder is, the folder made where it is missing; blocks."""
        return self._wait(self._disk_bytes(folder), CALL_TIMEOUT_S)

    def lead_socket(self, ours: Path, theirs: str) -> None:
        """Have a socket here that leads to one of theirs, anew if it is there already; blocks."""
        self._wait(self._lead_socket(ours, theirs), CALL_TIMEOUT_S)

    async def lead_port(self, port: int) -> int:
        """Return a port of this machine's loopback that leads to one of theirs. Raises HypervisorUnavailable."""
        return await self._within(self._lead_port(port), CALL_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connection, and with it all that leads through it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def _wait(self, call: Coroutine[Any, Any, T], timeout_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(self._within(call, timeout_s), self._loop).result()

    async def _within(self, call: Coroutine[Any, Any, T], timeout_s: float) -> T:
        try:
            async with asyncio.timeout(timeout_s):
                return await call
        except TimeoutError as late:
            await self.close()
            raise HypervisorUnavailable(f"{self._login.hostname} gave no answer by SSH in {timeout_s:.0f} s") from late
        except (OSError, asyncssh.Error) as failed:
            raise HypervisorUnavailable(f"{self._login.hostname} by SSH: {failed}") from failed

    async def _opened(self) -> asyncssh.SSHClientConnection:
        async with self._opening:
            if self._connection is None or self._connection.is_closed():
                self._sftp, self._socket, self._ports = None, None, {}
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    self._connection = await asyncssh.connect(
                        self._login.hostname,
                        self._login.port,
                        username=self._login.user,
                        client_keys=[self._client_key],
                        known_hosts=self._known_hosts,
                        config=None,
                        agent_path=None,
                        preferred_auth=["publickey"],
                        keepalive_interval=KEEPALIVE_S,
                        keepalive_count_max=KEEPALIVES_MISSED_MAX,
                    )
            return self._connection

    async def _files(self) -> asyncssh.SFTPClient:
        connection = await self._opened()
        if self._sftp is None:
            self._sftp = await connection.start_sftp_client()
        return self._sftp

    async def _read_boot_id(self) -> str:
        # Not by SFTP: it takes a file of the size 0, as all in /proc are, for an empty one.
        told = await (await self._opened()).run("cat /proc/sys/kernel/random/boot_id", check=True)
        return str(told.stdout).strip()

    async def _names(self, folder: PurePosixPath) -> frozenset[str]:
        try:
            names = await (await self._files()).listdir(folder)
        except asyncssh.SFTPNoSuchFile:
            return frozenset()
        return frozenset(str(name) for name in names if name not in (".", ".."))

    async def _read(self, file: PurePosixPath) -> str | None:
        try:
            async with (await self._files()).open(file, "rb") as opened:
                told: bytes | str = await opened.read(READ_BYTES_MAX)
                return told.decode() if isinstance(told, bytes) else told
        except asyncssh.SFTPNoSuchFile:
            return None

    async def _put(self, ours: Path, file: PurePosixPath, mode: int) -> None:
        files = await self._files()
        attributes = asyncssh.SFTPAttrs(permissions=0o711)
        await files.makedirs(file.parent, attributes, exist_ok=True)
        part = file.with_name(f".{file.name}.{uuid4().hex}.part")
        try:
            async with files.open(part, "wb", asyncssh.SFTPAttrs(permissions=mode)) as opened:
                with ours.open("rb") as source:
                    while block := await asyncio.to_thread(source.read, WRITTEN_AT_ONCE_BYTES):
                        await opened.write(block)
                await opened.fsync()
            if not await files.exists(file):
                # Never over another: a guest may write into it by now.
                await files.rename(part, file)
                return
        except asyncssh.SFTPError:
            # Somebody else was first, or it did not work.
            if not await files.exists(file):
                raise
        await files.remove(part)

    async def _remove_abandoned(self, folder: PurePosixPath) -> None:
        # By the machine's own clock: who still brings one has written to it since.
        quoted, minutes = shlex.quote(str(folder)), int(PUT_TIMEOUT_S // 60) + 1
        found = f"find {quoted} -maxdepth 1 -name '.*.part' -mmin +{minutes} -delete"
        await (await self._opened()).run(f"[ ! -d {quoted} ] || {found}", check=True)

    async def _remove(self, folder: PurePosixPath) -> None:
        files = await self._files()
        if await files.exists(folder):
            await files.rmtree(folder)

    async def _disk_bytes(self, folder: PurePosixPath) -> int:
        files = await self._files()
        await files.makedirs(folder, asyncssh.SFTPAttrs(permissions=0o711), exist_ok=True)
        found = await files.statvfs(folder)
        return int(found.blocks * found.frsize)

    async def _lead_socket(self, ours: Path, theirs: str) -> None:
        connection = await self._opened()
        if self._socket is not None:
            self._socket.close()
        await asyncio.to_thread(ours.unlink, missing_ok=True)
        self._socket = await connection.forward_local_path(str(ours), theirs)

    async def _lead_port(self, port: int) -> int:
        connection = await self._opened()
        if port not in self._ports:
            self._ports[port] = await connection.forward_local_port(LOOPBACK, 0, LOOPBACK, port)
        return self._ports[port].get_port()
