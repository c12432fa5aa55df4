"""What a real guest shows of jobs beyond the contract: what is left running, who watches, what is kept."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from adapters.ssh import launcher
from adapters.ssh.guest_shell import SshGuestShell
from domain.compute.ports import Hypervisor, JobOutcome, JobSpec
from domain.exec.limits import STRING_BYTES_MAX
from domain.ids import JobId
from tests.contracts.guest_shells import RealGuest, Way, booted_guest, job, until_told

pytestmark = [pytest.mark.anyio, pytest.mark.host]

JOBS = "/run/litevps/jobs"
SLEEPERS = "pgrep -r R,S,D -fa '^sleep 987' || true"
NO_CGROUPS = "umount -l /sys/fs/cgroup"
CGROUPS_AGAIN = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
RUNAWAYS = """
setsid sleep 98701 &
(trap '' TERM HUP INT; setsid sh -c 'sleep 98702; :' & wait) &
sleep 98703 &
echo begun
"""


@pytest.fixture(scope="module")
def booted(hypervisor: Hypervisor) -> Iterator[RealGuest]:
    with booted_guest(hypervisor) as guest:
        yield guest


@pytest.fixture
async def way(booted: RealGuest) -> AsyncIterator[Way]:
    key = booted.private_key
    shell = SshGuestShell(key, deadline_grace_s=2)
    yield Way(booted.address, lambda: SshGuestShell(key, deadline_grace_s=2), shell)
    await shell.close()


@pytest.fixture(params=["cgroups", "process groups"])
async def way_either(request: pytest.FixtureRequest, way: Way) -> AsyncIterator[Way]:
    """A guest with cgroups, and one without."""
    if request.param == "cgroups":
        yield way
        return
    before = way.new_shell()
    await before.run(way.address, job(NO_CGROUPS))
    yield way
    await way.shell.forget(way.address.vps_id)
    await before.run(way.address, job(CGROUPS_AGAIN))
    await before.close()


async def run(way: Way, asked: JobSpec) -> JobOutcome:
    return await way.shell.run(way.address, asked)


async def sleepers(way: Way) -> bytes:
    return (await run(way, job(SLEEPERS))).stdout.text


async def until_removed(way: Way, job_id: JobId) -> None:
    """Wait until of a job only the marks are left that it was."""
    # A launcher removes while nobody asks it for anything, so another one is asked.
    other = Way(way.address, way.new_shell, way.new_shell())
    await until_told(other, f"cd {JOBS} && ls {job_id}.* | sed s/.*[.]// | sort", b"ended\nstarted\n")
    await other.shell.close()


async def test_nothing_is_left_running_after_a_time_out(way_either: Way) -> None:
    outcome = await run(way_either, job(RUNAWAYS + "sleep 30", timeout_s=2))
    assert outcome.timed_out
    assert outcome.stdout.text == b"begun\n"
    assert await sleepers(way_either) == b""


async def test_nothing_is_left_running_after_a_cancel(way_either: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(RUNAWAYS + f"echo begun > {mark}; sleep 30")
    running = asyncio.create_task(run(way_either, asked))
    await until_told(way_either, f"cat {mark}", b"begun\n")
    await way_either.shell.cancel(way_either.address, asked.job_id)
    assert await sleepers(way_either) == b""
    assert (await running).cancelled


async def test_a_job_ends_with_its_shell_and_what_it_left_running_goes_on(way_either: Way) -> None:
    left = await run(way_either, job("sleep 98704 & setsid sleep 98705 & echo started"))
    assert (left.exit_code, left.stdout.text) == (0, b"started\n")
    await run(way_either, job("true"))
    timed_out = await run(way_either, job("sleep 30", timeout_s=1))
    assert timed_out.timed_out
    assert (await sleepers(way_either)).count(b"sleep 9870") == 2
    await run(way_either, job("pkill -f '^sleep 9870'"))


async def test_the_guest_keeps_the_deadline_without_us(way: Way) -> None:
    mark = f"/tmp/mark-{uuid4()}"
    asked = job(RUNAWAYS + f"echo begun > {mark}; sleep 30", timeout_s=3)
    other = way.new_shell()
    running = asyncio.create_task(other.run(way.address, asked))
    await until_told(way, f"cat {mark}", b"begun\n")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await other.close()
    await until_told(way, SLEEPERS, b"")
    outcome = await run(way, asked)
    assert outcome.timed_out
    # Later, whoever asks would have ended it.
    assert outcome.duration_ms < 8_000


@pytest.mark.parametrize("exit_code", [6, 147])  # 147 is also what bash tells of a command that is stopped.
async def test_a_command_that_was_stopped_meanwhile_ends_as_any_other(way: Way, exit_code: int) -> None:
    outcome = await run(way, job(f"(sleep 1; kill -CONT $$) & kill -STOP $$; echo again; exit {exit_code}"))
    assert (outcome.stdout.text, outcome.exit_code) == (b"again\n", exit_code)


async def test_a_command_that_stays_stopped_is_ended_in_time(way: Way) -> None:
    assert (await run(way, job("kill -STOP $$", timeout_s=2))).timed_out


async def test_the_deadline_is_kept_although_the_guests_watchdog_was_killed(way: Way) -> None:
    # The command's parent is the launcher; the launcher's other child is the watchdog.
    kill_watchdog = "for p in $(pgrep -P $PPID); do [ $p = $$ ] || kill -9 $p; done; "
    outcome = await run(way, job(kill_watchdog + "echo begun; sleep 98706", timeout_s=2))
    assert outcome.timed_out
    assert outcome.stdout.text == b"begun\n"
    assert await sleepers(way) == b""


async def test_a_job_whose_launcher_was_killed_is_lost_and_nothing_of_it_goes_on(way: Way) -> None:
    asked = job("echo begun; kill -9 $PPID; sleep 98707")
    outcome = await run(way, asked)
    assert outcome.exit_code is None
    assert outcome.error
    assert outcome.stdout.text == b"begun\n"
    assert await sleepers(way) == b""
    assert await run(way, asked) == outcome


async def test_a_job_that_was_taken_but_never_started_is_started_by_the_next_launcher(way: Way) -> None:
    asked = job("echo started")
    boot = "$(cat /proc/sys/kernel/random/boot_id)"
    await run(way, job(f'echo "{boot} 999999 1 " > {JOBS}/{asked.job_id}.owner.1'))
    assert (await run(way, asked)).stdout.text == b"started\n"


async def test_a_job_of_an_earlier_boot_is_lost_and_not_started_again(way: Way) -> None:
    asked = job("echo again")
    file = f"{JOBS}/{asked.job_id}"
    await run(
        way, job(f"echo 'earlier-boot 1 1 ' > {file}.owner.1; echo '1 1' > {file}.started; echo so far > {file}.stdout")
    )
    outcome = await run(way, asked)
    assert outcome.error
    assert outcome.exit_code is None
    assert outcome.stdout.text == b"so far\n"


async def test_what_is_kept_of_a_job_is_removed_once_it_was_collected(way: Way) -> None:
    asked = job("echo kept", stdin="input")
    await run(way, asked)
    listing = job(f"ls {JOBS} | grep -c {asked.job_id}")
    assert int((await run(way, listing)).stdout.text) > 3
    await way.shell.discard(way.address, asked.job_id)
    await until_removed(way, asked.job_id)


async def test_a_job_is_not_done_again_after_it_was_discarded(way: Way) -> None:
    asked = job("echo once >> /root/witness")
    await run(way, asked)
    await way.shell.discard(way.address, asked.job_id)
    await until_removed(way, asked.job_id)
    assert (await run(way, asked)).exit_code == 0
    assert (await run(way, job("cat /root/witness; rm /root/witness"))).stdout.text == b"once\n"


async def test_a_job_that_writes_without_end_is_ended_and_told_why(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "OUTPUT_BYTES_MAX", 1_000_000)
    outcome = await run(way, job("yes"))
    assert outcome.exit_code == 153
    assert outcome.error
    assert outcome.stdout.truncated
    assert outcome.stdout.size_bytes > 1_000_000
    await way.shell.discard(way.address, JobId(uuid4()))


async def test_a_connection_that_died_is_replaced(way: Way) -> None:
    await run(way, job("(sleep 0.5; kill -9 $(cut -d' ' -f4 /proc/$PPID/stat)) &"))
    await asyncio.sleep(1.5)
    assert (await run(way, job("echo back"))).stdout.text == b"back\n"


async def test_what_start_up_files_print_is_no_part_of_the_answer(way: Way) -> None:
    await run(way, job("cp ~/.bashrc ~/.kept; { echo 'echo hello'; echo 'printf half'; } > ~/.bashrc"))
    other = way.new_shell()
    outcome = await other.run(way.address, job("echo mine; mv ~/.kept ~/.bashrc"))
    await other.close()
    assert outcome.stdout.text == b"mine\n"


@pytest.mark.parametrize("asked", [job("echo in", user="nosuch"), job("echo in", cwd="/no/such")])
async def test_a_command_whose_user_or_folder_is_not_there_is_not_run(way: Way, asked: JobSpec) -> None:
    outcome = await run(way, asked)
    assert outcome.exit_code == 126
    assert outcome.stdout.text == b""
    assert outcome.stderr.text.startswith(b"litevps: ")


async def test_a_command_sees_its_own_environment_and_none_of_ours(way: Way) -> None:
    outcome = await run(way, job("env; ls /proc/self/fd", env={"MINE": "x", "LC_ALL": "C.UTF-8"}))
    lines = outcome.stdout.text.decode().splitlines()
    names = {line.split("=")[0] for line in lines if "=" in line}
    assert {"MINE", "LC_ALL", "HOME", "PATH", "LITEVPS_JOB_ID"} <= names
    assert not names & {"SSH_CLIENT", "SSH_CONNECTION"}
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"]


async def test_a_job_that_a_service_of_before_keeps_on_the_disk_is_found_there(way: Way) -> None:
    asked = job("echo again")
    file = f"/var/lib/litevps/jobs/{asked.job_id}"
    begun = "echo 'earlier-boot 1 1 ' > $f.owner.1; echo '1 1' > $f.started; echo so far > $f.stdout"
    await run(way, job(f"f={file}; mkdir -p ${{f%/*}}; {begun}"))
    assert (await run(way, asked)).stdout.text == b"so far\n"


async def test_whoever_the_command_is_run_as_can_open_its_streams_anew(way: Way) -> None:
    asked = job("cat /dev/stdin; echo err | tee /dev/stderr > /dev/null", user="nobody", stdin="in")
    outcome = await run(way, asked)
    assert (outcome.stdout.text, outcome.stderr.text, outcome.exit_code) == (b"in", b"err\n", 0)


async def test_a_string_longer_than_execve_takes_cannot_be_run_which_is_why_it_is_refused(way: Way) -> None:
    assert (await run(way, job("exit 3".ljust(STRING_BYTES_MAX + 1)))).exit_code == 126
    assert (await run(way, job("true", env={"A": "x" * (STRING_BYTES_MAX - 1)}))).exit_code == 126


SET_BY_BASH = {
    "BASH": "x", "BASHOPTS": "extglob", "BASH_VERSION": "x", "EPOCHREALTIME": "x", "EPOCHSECONDS": "x", "IFS": "x",
    "LINENO": "x", "OPTIND": "9", "PS4": "x", "PWD": "/nowhere", "SHELLOPTS": "verbose", "_": "x",
}  # fmt: skip
KEPT_BACK_BY_BASH = {
    "BASHPID": "x", "BASH_ARGV0": "x", "BASH_COMMAND": "x", "BASH_SUBSHELL": "x", "COMP_WORDBREAKS": "x",
    "HISTCMD": "x", "OLDPWD": "/nowhere", "PPID": "x", "RANDOM": "x", "SRANDOM": "x",
}  # fmt: skip


async def test_what_bash_itself_does_to_its_variables_is_what_the_page_says(way: Way) -> None:
    page = (Path(__file__).parents[3] / "docs/explanation/exec.md").read_text()
    outcome = await run(way, job("env", env={**SET_BY_BASH, **KEPT_BACK_BY_BASH}))
    told = dict(line.partition("=")[::2] for line in outcome.stdout.text.decode().splitlines() if "=" in line)
    assert [name for name, value in SET_BY_BASH.items() if told.get(name, value) == value] == []
    assert [name for name in KEPT_BACK_BY_BASH if name in told] == []
    assert [name for name in (*SET_BY_BASH, *KEPT_BACK_BY_BASH) if f"`{name}`" not in page] == []
