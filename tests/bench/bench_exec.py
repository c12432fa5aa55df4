"""Exec through the guest shell beside the same command on a bare warm SSH connection, in turns."""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

import asyncssh
import pytest

from adapters.guest_image.builder import GuestImage
from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.ports import GuestAddress
from tests.contracts.guest_shells import booted_guest, job

pytestmark = [pytest.mark.anyio, pytest.mark.host, pytest.mark.slow]

ROUNDS = 40
WARM_UP_ROUNDS = 3
OVERHEAD_MS_MAX = 60
MILLISECONDS = 1_000


@pytest.fixture(scope="module")
def guest(guest_image: GuestImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GuestAddress, str]]:
    with booted_guest(guest_image, tmp_path_factory.mktemp("guest")) as booted:
        yield booted


@pytest.mark.parametrize("command", ["uname -a", "true", "echo $((6 * 7)); ls /etc | wc -l"])
async def test_exec_costs_little_more_than_the_bare_command(guest: tuple[GuestAddress, str], command: str) -> None:
    address, private = guest
    shell = SshGuestShell(private)
    bare = await _bare_connection(address, private)

    async def by_shell() -> None:
        done = job(command)
        await shell.run(address, done)
        # Part of every exec's life; what it costs the guest falls on the next ones.
        await shell.discard(address, done.job_id)

    async def by_hand() -> None:
        await bare.run(command)

    for _ in range(WARM_UP_ROUNDS):
        await by_shell()
        await by_hand()
    spans: dict[str, list[float]] = {"bare": [], "guest shell": []}
    for _ in range(ROUNDS):
        spans["bare"].append(await _timed_ms(by_hand))
        spans["guest shell"].append(await _timed_ms(by_shell))
    bare.close()
    await shell.close()
    p50 = {name: statistics.median(taken) for name, taken in spans.items()}
    p90 = {name: statistics.quantiles(taken, n=10)[8] for name, taken in spans.items()}
    print(f"\n{command!r} over {ROUNDS} rounds: " + _told("p50", p50) + "; " + _told("p90", p90))
    assert p50["guest shell"] - p50["bare"] <= OVERHEAD_MS_MAX


async def _timed_ms(act: Callable[[], Awaitable[None]]) -> float:
    begun = time.perf_counter()
    await act()
    return (time.perf_counter() - begun) * MILLISECONDS


async def _bare_connection(address: GuestAddress, private: str) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        address.ssh_host,
        address.ssh_port,
        username="root",
        client_keys=[asyncssh.import_private_key(private)],
        known_hosts=([asyncssh.import_public_key(address.host_key_public)], [], []),
        config=None,
        agent_path=None,
    )


def _told(name: str, spans_ms: dict[str, float]) -> str:
    return f"{name} " + ", ".join(f"{span} {taken:.1f} ms" for span, taken in spans_ms.items())
