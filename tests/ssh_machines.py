"""A machine elsewhere, for tests: an SSH server that is one, with this machine's files, sockets and ports behind it."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import msgspec

from tests.guests import KeyPair, new_key_pair


class SshServer(msgspec.Struct, frozen=True):
    """A server that runs, and how to get in."""

    port: int
    client: KeyPair
    host: KeyPair
    hostname: str = "127.0.0.1"

    @property
    def known_hosts(self) -> str:
        """Return its host key as OpenSSH keeps it."""
        return f"[{self.hostname}]:{self.port} {self.host.public}\n"


class _Server(asyncssh.SSHServer):
    def __init__(self, client_public: str) -> None:
        self._client = asyncssh.import_public_key(client_public)

    def connection_requested(self, *_: object) -> bool:
        return True

    def unix_connection_requested(self, _: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, _: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._client.public_data


async def _run(process: "asyncssh.SSHServerProcess[str]") -> None:
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", process.command or "true"], capture_output=True, text=True, check=False
    )
    process.stdout.write(done.stdout)
    process.exit(done.returncode)


async def serve(address: str, port: int, client_public: str, host_private: str) -> asyncssh.SSHAcceptor:
    """Start a server in the running loop."""
    return await asyncssh.listen(
        address,
        port,
        server_factory=lambda: _Server(client_public),
        server_host_keys=[asyncssh.import_private_key(host_private)],
        sftp_factory=True,
        process_factory=_run,
        allow_scp=False,
    )


@contextmanager
def running_ssh_server() -> Iterator[SshServer]:
    """Give a server in a loop of its own, so that whoever blocks this one is served all the same."""
    client, host = new_key_pair(), new_key_pair()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    serving = asyncio.run_coroutine_threadsafe(serve("127.0.0.1", 0, client.public, host.private), loop)
    acceptor = serving.result(10)
    try:
        yield SshServer(acceptor.get_port(), client, host)
    finally:
        asyncio.run_coroutine_threadsafe(_closed(acceptor), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _closed(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.1)


async def _main(address: str, port: int, keys: Path) -> None:
    await serve(address, port, (keys / "client.pub").read_text(), (keys / "host").read_text())
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # ADDRESS PORT KEYS: serve until killed; KEYS has the files client.pub and host.
    if os.getppid() == 1:
        sys.exit("whoever started this is gone")
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
