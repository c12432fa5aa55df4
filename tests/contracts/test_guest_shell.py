"""What every guest shell must keep to."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import msgspec
import pytest

from adapters.ssh.guest_shell import SshGuestShell
from adapters.ssh.keys import new_host_key
from domain.compute.ports import GuestUnreachable, HostKeyChanged, Hypervisor
from domain.exec.limits import STRING_BYTES_MAX
from domain.ids import JobId
from tests.contracts.guest_shells import RealGuest, Way, booted_guest, job, simulated_way, until_told

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def real_guest(hypervisor: Hypervisor) -> Iterator[RealGuest]:
    with booted_guest(hypervisor) as guest:
        yield guest


@pytest.fixture(params=["simulated", pytest.param("ssh", marks=pytest.mark.host)])
def booted(request: pytest.FixtureRequest) -> RealGuest | None:
    """Return a real guest, or nothing where it is played."""
    return request.getfixturevalue("real_guest") if request.param == "ssh" else None


@pytest.fixture
async def way(booted: RealGuest | None) -> AsyncIterator[Way]:
    if booted is None:
        yield await simulated_way()
        return
    key = booted.private_key
    shell = SshGuestShell(key)
    yield Way(booted.address, lambda: SshGuestShell(key), shell)
    await shell.close()


async def test_the_guest_that_was_made_lets_the_service_in(way: Way) -> None:
    await way.shell.login(way.address)


async def test_an_address_where_nothing_answers_is_unreachable(way: Way, free_port: int) -> None:
    nowhere = msgspec.structs.replace(way.address, ssh_port=free_port)
    with pytest.raises(GuestUnreachable):
        await way.shell.login(nowhere)


async def test_a_guest_with_another_host_key_is_not_believed(way: Way) -> None:
    impostor = msgspec.structs.replace(way.address, host_key_public=new_host_key()[1])
    with pytest.raises(HostKeyChanged):
        await way.shell.login(impostor)
    with pytest.raises(HostKeyChanged):
        await way.shell.run(impostor, job("true"))


async def test_both_streams_and_the_exit_code_are_told_apart(way: Way) -> None:
    outcome = await way.shell.run(way.address, job("echo out; echo err >&2; exit 3"))
    assert (outcome.stdout.text, outcome.stderr.text, outcome.exit_code) == (b"out\n", b"err\n", 3)
    assert not outcome.timed_out
    assert not outcome.cancelled
    assert outcome.error is None
    assert outcome.duration_ms >= 0


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [("true", 0), ("false", 1), ("exit 255", 255), ("kill -9 $$", 137), ("kill -15 $$", 143), ("nosuch", 127)],
)
async def test_exit_codes_are_those_of_a_shell(way: Way, command: str, exit_code: int) -> None:
    assert (await way.shell.run(way.address, job(command))).exit_code == exit_code


async def test_folder_variables_user_and_input_reach_the_command_as_they_are(way: Way) -> None:
    value = "two\nlines \"quoted\" '$(exit 7)' `exit 8` ; exit 9 \\ ü"
    asked = job(
        "pwd; whoami; echo $GREETING; cat",
        cwd="/tmp",
        env={"GREETING": "'; exit 6; '", "folder": "/nowhere", "IFS": "w"},
        stdin=value,
        user="nobody",
    )
    outcome = await way.shell.run(way.address, asked)
    assert outcome.stdout.text == f"/tmp\nnobody\n'; exit 6; '\n{value}".encode()
    assert outcome.exit_code == 0


VARIABLES_OF_BASH = {"UID": "1000", "EUID": "7", "SECONDS": "5", "GROUPS": "8", "DIRSTACK": "/x", "FUNCNAME": "f"}


async def test_variables_reach_what_the_command_starts_also_those_that_bash_has_itself(way: Way) -> None:
    value = "two\nlines \"quoted\" '$(exit 7)' \\ ü"
    asked = job("env", env={**VARIABLES_OF_BASH, "PLAIN": value, "EMPTY": "", "LITEVPS_JOB_ID": "another's"})
    told = (await way.shell.run(way.address, asked)).stdout.text.decode()
    assert {f"{name}={value}" for name, value in VARIABLES_OF_BASH.items()} <= set(told.splitlines())
    assert f"\nPLAIN={value}\n" in f"\n{told}"
    assert "EMPTY=" in told.splitlines()
    assert f"LITEVPS_JOB_ID={asked.job_id}" in told.splitlines()


async def test_the_longest_command_and_the_longest_variable_are_run(way: Way) -> None:
    command = "exit 3".ljust(STRING_BYTES_MAX)
    assert (await way.shell.run(way.address, job(command))).exit_code == 3
    outcome = await way.shell.run(way.address, job("echo $A | wc -c", env={"A": "x" * (STRING_BYTES_MAX - 2)}))
    assert (outcome.stdout.text.strip(), outcome.exit_code) == (b"%d" % (STRING_BYTES_MAX - 1), 0)


async def test_the_devices_of_the_streams_are_the_streams(way: Way) -> None:
    asked = job("cat /dev/stdin > /dev/stdout; echo err > /dev/stderr", stdin="in")
    outcome = await way.shell.run(way.address, asked)
    assert (outcome.stdout.text, outcome.stderr.text, outcome.exit_code) == (b"in", b"err\n", 0)


async def test_a_job_that_is_older_than_the_boot_and_not_known_is_lost_and_never_started(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(f"echo ran > {mark}", age_s=1_000_000, stdin="0123456789" * 20_000)
    outcome = await way.shell.run(way.address, asked)
    assert outcome.exit_code is None
    assert outcome.error
    assert (await way.shell.run(way.address, job(f"cat {mark}"))).exit_code == 1


async def test_large_input_reaches_the_command_whole(way: Way) -> None:
    outcome = await way.shell.run(way.address, job("wc -c", stdin="0123456789" * 20_000))
    assert outcome.stdout.text.strip() == b"200000"


async def test_a_command_without_input_reads_none(way: Way) -> None:
    assert (await way.shell.run(way.address, job("cat; echo end"))).stdout.text == b"end\n"


async def test_output_is_bytes_and_not_text(way: Way) -> None:
    outcome = await way.shell.run(way.address, job(r"printf '\000a\377\000\000\n\000'; printf '\000' >&2"))
    assert outcome.stdout.text == b"\0a\xff\0\0\n\0"
    assert outcome.stderr.text == b"\0"
    assert outcome.stdout.size_bytes == 7
    assert outcome.stdout.sha256 == hashlib.sha256(b"\0a\xff\0\0\n\0").hexdigest()


@pytest.mark.parametrize("count", [1_000, 65_536, 300_000])
async def test_output_up_to_the_limit_is_brought_back_whole(way: Way, count: int) -> None:
    asked = job(f"head -c {count} /dev/zero", output_limit_bytes=count)
    stdout = (await way.shell.run(way.address, asked)).stdout
    assert stdout.text == bytes(count)
    assert not stdout.truncated


@pytest.mark.parametrize("count", [1_001, 3_000_000])
async def test_output_past_the_limit_keeps_both_ends_and_the_truth_about_the_whole(way: Way, count: int) -> None:
    asked = job(f"echo begin; head -c {count - 10} /dev/zero; echo end", output_limit_bytes=1_000)
    stdout = (await way.shell.run(way.address, asked)).stdout
    whole = b"begin\n" + bytes(count - 10) + b"end\n"
    assert stdout.truncated
    assert stdout.size_bytes == len(whole)
    assert stdout.sha256 == hashlib.sha256(whole).hexdigest()
    assert len(stdout.text) <= 1_000
    assert stdout.text.startswith(b"begin\n\0")
    assert stdout.text.endswith(b"\0end\n")
    left_out = int(stdout.text.split(b"[... ")[1].split()[0])
    assert len(stdout.text) - len(b"\n[... %d bytes left out ...]\n" % left_out) + left_out == len(whole)


@pytest.mark.parametrize("shift", range(3))
async def test_output_is_cut_between_characters(way: Way, shift: int) -> None:
    asked = job(f"echo {'x' * shift}{'€' * 1_000}", output_limit_bytes=1_000)
    stdout = (await way.shell.run(way.address, asked)).stdout
    head, _, rest = stdout.text.decode().partition("\n[... ")
    left_out, _, tail = rest.partition(" bytes left out ...]\n")
    assert (set(head) - {"x"}, set(tail)) == ({"€"}, {"€", "\n"})
    assert stdout.size_bytes == shift + 3_001 == len(head.encode()) + int(left_out) + len(tail.encode())


async def test_past_its_time_a_command_is_ended_and_its_output_so_far_told(way: Way) -> None:
    begun = time.monotonic()
    outcome = await way.shell.run(way.address, job("echo begun; sleep 30; echo over", timeout_s=2))
    assert time.monotonic() - begun < 25
    assert outcome.timed_out
    assert outcome.exit_code is None
    assert outcome.stdout.text == b"begun\n"
    assert 2_000 <= outcome.duration_ms < 25_000


async def test_a_job_is_done_once_however_often_it_is_asked_for(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(f"echo done >> {mark}; sleep 0.3; cat {mark}")
    other = way.new_shell()
    answers = await asyncio.gather(*(shell.run(way.address, asked) for shell in (way.shell, other, way.shell)))
    again = await other.run(way.address, asked)
    await other.close()
    assert answers[0].stdout.text == b"done\n"
    assert answers == [answers[0]] * 3
    assert again == answers[0]


async def test_a_job_goes_on_without_the_service_and_is_picked_up_by_the_next_one(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(f"echo begun >> {mark}; sleep 3; cat {mark}; exit 5")
    first = way.new_shell()
    running = asyncio.create_task(first.run(way.address, asked))
    await until_told(way, f"cat {mark}", b"begun\n")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await first.close()
    outcome = await way.shell.run(way.address, asked)
    assert (outcome.stdout.text, outcome.exit_code) == (b"begun\n", 5), outcome
    assert 3_000 <= outcome.duration_ms < 20_000


async def test_a_cancelled_job_is_ended_and_said_to_be_cancelled(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(f"echo begun; echo begun > {mark}; sleep 30")
    running = asyncio.create_task(way.shell.run(way.address, asked))
    await until_told(way, f"cat {mark}", b"begun\n")
    await way.shell.cancel(way.address, asked.job_id)
    outcome = await running
    assert outcome.cancelled
    assert not outcome.timed_out
    assert outcome.exit_code is None
    assert outcome.stdout.text == b"begun\n"


async def test_a_job_that_was_cancelled_before_it_began_never_begins(way: Way) -> None:
    asked = job("echo begun")
    await way.shell.cancel(way.address, asked.job_id)
    outcome = await way.shell.run(way.address, asked)
    assert outcome.cancelled
    assert outcome.stdout.text == b""


async def test_cancelling_what_has_ended_changes_nothing(way: Way) -> None:
    asked = job("exit 4")
    before = await way.shell.run(way.address, asked)
    await way.shell.cancel(way.address, asked.job_id)
    assert await way.shell.run(way.address, asked) == before


async def test_discarding_leaves_what_still_runs_and_what_is_not_there(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(f"echo begun > {mark}; sleep 3; echo over")
    running = asyncio.create_task(way.shell.run(way.address, asked))
    await until_told(way, f"cat {mark}", b"begun\n")
    await way.shell.discard(way.address, asked.job_id)
    await way.shell.discard(way.address, JobId(uuid4()))
    assert (await running).stdout.text == b"over\n"
    await way.shell.discard(way.address, asked.job_id)


async def test_many_jobs_run_at_once(way: Way) -> None:
    begun = time.monotonic()
    asked = [job(f"sleep 4; echo {number}", timeout_s=60) for number in range(6)]
    outcomes = await asyncio.gather(*(way.shell.run(way.address, one) for one in asked))
    assert [outcome.stdout.text for outcome in outcomes] == [b"%d\n" % number for number in range(6)]
    assert time.monotonic() - begun < 6 * 4 - 4


async def test_a_guest_that_was_given_no_user_data_tells_of_no_failure(way: Way) -> None:
    seen = await way.shell.find_user_data(way.address)
    assert seen is None or seen.succeeded


async def test_a_forgotten_guest_can_be_entered_again(way: Way) -> None:
    await way.shell.run(way.address, job("true"))
    await way.shell.forget(way.address.vps_id)
    await way.shell.forget(way.address.vps_id)
    assert (await way.shell.run(way.address, job("true"))).exit_code == 0
