"""A command runs, and can free what is full, whatever the customer has filled or put out of use."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.ports import Hypervisor, JobOutcome
from tests.contracts.guest_shells import RealGuest, Way, booted_guest, job

pytestmark = [pytest.mark.anyio, pytest.mark.host]

FILL_BLOCKS = "fallocate -l $(df -B1 --output=avail / | tail -n1) /filler; dd if=/dev/zero of=/filler2 bs=4k 2>&1"
FILL_INODES = "mkdir {0} && cd {0} && seq {1} | xargs touch 2>&1 | tail -n1"
NO_SPACE = b"No space left on device"


@pytest.fixture(scope="module")
def booted(hypervisor: Hypervisor) -> Iterator[RealGuest]:
    with booted_guest(hypervisor) as guest:
        yield guest


@pytest.fixture
async def way(booted: RealGuest) -> AsyncIterator[Way]:
    shell = SshGuestShell(booted.private_key)
    yield Way(booted.address, lambda: SshGuestShell(booted.private_key), shell)
    await shell.close()


async def run(way: Way, command: str, *, stdin: str | None = None) -> JobOutcome:
    return await way.shell.run(way.address, job(command, timeout_s=900, stdin=stdin))


async def run_anew(way: Way, command: str, *, stdin: str | None = None) -> JobOutcome:
    """Run it over a connection of its own, as a service does that was started meanwhile."""
    shell = way.new_shell()
    try:
        return await run(Way(way.address, way.new_shell, shell), command, stdin=stdin)
    finally:
        await shell.close()


async def until(way: Way, *, started: bool) -> JobOutcome:
    """Run a small command until one is started, or refused; raises TimeoutError if it takes too long."""
    async with asyncio.timeout(300):
        while True:
            outcome = await run(way, "echo x")
            if (outcome.error is None) if started else (outcome.error or "").startswith("not started"):
                return outcome


async def test_a_full_disk_is_freed_by_a_command(way: Way) -> None:
    assert NO_SPACE in (await run(way, FILL_BLOCKS)).stdout.text
    tried = await run(way, "head -c 1M /dev/zero > /another")
    assert (tried.exit_code, NO_SPACE in tried.stderr.text, tried.error) == (1, True, None)
    freed = await run_anew(way, "cat; rm /filler /filler2 /another && echo freed", stdin="in ")
    assert (freed.stdout.text, freed.exit_code, freed.error) == (b"in freed\n", 0, None)
    assert (await run(way, "echo x > /another && cat /another")).stdout.text == b"x\n"


async def test_a_disk_without_inodes_is_freed_by_a_command(way: Way) -> None:
    assert NO_SPACE in (await run(way, FILL_INODES.format("/many", 70_000))).stdout.text
    assert (await run(way, ": > /no-inode")).exit_code == 1
    freed = await run_anew(way, "rm -r /many && echo freed")
    assert (freed.stdout.text, freed.exit_code) == (b"freed\n", 0)


async def test_a_read_only_disk_is_made_writable_by_a_command(way: Way) -> None:
    assert (await run(way, "mount -o remount,ro /; touch /x")).exit_code == 1
    freed = await run_anew(way, "mount -o remount,rw / && touch /x && echo written")
    assert (freed.stdout.text, freed.exit_code) == (b"written\n", 0)


async def test_folders_that_cannot_be_written_or_run_from_stop_no_command(way: Way) -> None:
    places = "/var /tmp /run /dev/shm"
    await run(way, f"for p in {places}; do mount --rbind $p $p; mount -o remount,bind,ro,noexec $p; done")
    outcome = await run_anew(way, f"cat; umount -l {places} && echo again", stdin="0123456789" * 10_000)
    assert (outcome.stdout.text[-6:], outcome.stdout.size_bytes, outcome.exit_code) == (b"again\n", 100_006, 0)


@pytest.mark.parametrize(
    "fill", ["dd if=/dev/zero of=/run/litevps/filler bs=64k", FILL_INODES.format("/run/litevps/filler", 9_000)]
)
async def test_the_place_of_jobs_itself_is_freed_by_a_command(way: Way, fill: str) -> None:
    await run(way, fill)
    freed = await run_anew(way, "rm -r /run/litevps/filler && echo freed")
    assert (freed.stdout.text, freed.exit_code) == (b"freed\n", 0)
    outcome = await run(way, "echo as before")
    assert (outcome.stdout.text, outcome.error) == (b"as before\n", None)


async def test_where_even_the_reserve_is_used_up_the_answer_says_so(way: Way) -> None:
    use_up = "truncate -s 0 jobs/.reserve; rm jobs/.spare.*; dd if=/dev/zero of=filler bs=64k"
    last_pages = "dd if=/dev/zero of=filler bs=4k oflag=append conv=notrunc"
    await run(way, f"cd /run/litevps; (sleep 1; {use_up}; {last_pages}; sleep 12; rm filler) > /dev/null 2>&1 &")
    refused = await until(way, started=False)
    assert "/run/litevps is full" in (refused.error or "")
    assert refused.exit_code is None
    assert (await until(way, started=True)).stdout.text == b"x\n"


async def test_output_that_there_was_no_room_for_is_not_left_out_silently(way: Way) -> None:
    await run(way, "dd if=/dev/zero of=/run/litevps/filler bs=64k; truncate -s -2M /run/litevps/filler")
    outcome = await run(way, "head -c 8M /dev/zero")
    await run(way, "rm /run/litevps/filler")
    assert outcome.stdout.size_bytes < 8 * 1024 * 1024
    assert outcome.error
    assert "missing" in outcome.error
