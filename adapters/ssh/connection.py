"""One SSH connection to a guest: the right one, or none."""

import asyncio
import socket
from collections.abc import Callable

import asyncssh

from domain.compute.ports import GuestAddress, GuestUnreachable, HostKeyChanged

QUICK_GREETING_S = 0.7
"""User-mode networking accepts TCP while the guest is still down, and tries it again only after seconds:
a guest that may be down and does not greet at once is better asked anew over a new socket."""
LONG_GREETING_S = 6.0
"""For a guest that was up a moment ago, and is slow to greet because it has much to do."""
LOGIN_TIMEOUT_S = 15.0
RECEIVED_AT_ONCE_BYTES = 4096
"""What the kernel keeps of a guest's words for us. asyncssh goes through all that it reads in one step of the loop, at
a cost that grows with the square of the packets in it: a root that floods us with empty packets held the loop for
seconds. At 4 KiB it is some 30 ms, and a large output still comes at 20 MB/s."""
KEEPALIVE_S = 15.0
KEEPALIVES_MISSED_MAX = 3
USER = "root"

Dial = Callable[[GuestAddress], tuple[socket.socket, tuple[str, int]]]
"""Returns a TCP socket that is not connected yet, and where it is to be: where a guest is reached from here."""


def dial_directly(address: GuestAddress) -> tuple[socket.socket, tuple[str, int]]:
    """Return a socket of this process, to be connected with the address that everybody is told."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM), (address.ssh_host, address.ssh_port)


async def connect(
    address: GuestAddress, client_key: asyncssh.SSHKey, *, greeting_s: float, dial: Dial = dial_directly
) -> asyncssh.SSHClientConnection:
    """Log in, trying once. Raises GuestUnreachable or HostKeyChanged.

    Nothing of the machine that we run on is used: no configuration, no agent, no known hosts but the one key.
    """
    greeted = await _greeted_socket(address, greeting_s, dial)
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT_S):
            return await asyncssh.connect(
                sock=greeted,
                host=address.ssh_host,
                port=address.ssh_port,
                username=USER,
                client_keys=[client_key],
                known_hosts=([asyncssh.import_public_key(address.host_key_public)], [], []),
                config=None,
                agent_path=None,
                preferred_auth=["publickey"],
                compression_algs=None,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVES_MISSED_MAX,
            )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
        greeted.close()
        raise HostKeyChanged(str(error)) from error
    except Exception as error:
        # Of any kind: what a guest sends is its owner's, and asyncssh lets some of it break its own parts, such as a
        # greeting that is no ASCII.
        greeted.close()
        raise GuestUnreachable(f"login failed: {error!r}") from error
    except BaseException:
        greeted.close()
        raise


async def _greeted_socket(address: GuestAddress, greeting_s: float, dial: Dial) -> socket.socket:
    """Return a socket on which SSH has begun to speak; its greeting is left to be read."""
    loop = asyncio.get_running_loop()
    try:
        connecting, reached_at = dial(address)
    except OSError as error:
        raise GuestUnreachable(f"no way to this address: {error!r}") from error
    connecting.setblocking(False)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_AT_ONCE_BYTES)
    try:
        async with asyncio.timeout(greeting_s):
            await loop.sock_connect(connecting, reached_at)
            await _readable(connecting)
        if not connecting.recv(4, socket.MSG_PEEK):
            raise GuestUnreachable("closed before it greeted")
    except (OSError, TimeoutError) as error:
        connecting.close()
        raise GuestUnreachable(f"no SSH at this address: {error!r}") from error
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _readable(waiting: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(waiting, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(waiting)
