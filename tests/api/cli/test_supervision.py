"""Processes are kept running while their service is wanted, end in order, and never outlive it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli.supervision import DidNotStart, ProcessSpec, Supervisor

pytestmark = pytest.mark.anyio

CHILD = """
import asyncio, os, sys
from api.cli.supervision import Lifeline

async def main():
    name, log, fails = sys.argv[1:4]
    def note(text):
        with open(log, "a") as file:
            file.write(f"{name} {text} {os.getpid()}\\n")
    if fails == "fails":
        sys.exit(3)
    ends = asyncio.Event()
    def told():
        note("told")
        ends.set()
    asyncio.get_running_loop().add_signal_handler(15, told)
    lifeline = Lifeline(int(sys.argv[5]))
    async with lifeline.held():
        note("begins")
        lifeline.say_ready(f"{name} is ready")
        await ends.wait()
        await asyncio.sleep(0.2)
    note("ends")

asyncio.run(main())
"""
WAIT_S = 20.0


class Log:
    """What the processes wrote down, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def spec(self, name: str, *, fails: bool = False) -> ProcessSpec:
        return ProcessSpec(name, (sys.executable, "-c", CHILD, name, str(self.path), "fails" if fails else "works"))

    def lines(self) -> list[tuple[str, str, int]]:
        written = [line.split() for line in self.path.read_text().splitlines()]
        return [(name, what, int(pid)) for name, what, pid in written]

    def told(self) -> list[str]:
        return [f"{name} {what}" for name, what, _ in self.lines()]

    def pids(self, name: str) -> list[int]:
        return [pid for one, what, pid in self.lines() if (one, what) == (name, "begins")]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


async def until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it did not come about"
        await asyncio.sleep(0.02)


async def test_the_last_is_started_first_and_the_first_is_ended_first(log: Log) -> None:
    said: dict[str, str] = {}

    async def started(told: dict[str, str]) -> None:
        said.update(told)
        os.kill(os.getpid(), signal.SIGTERM)

    await Supervisor([log.spec("http"), log.spec("work")]).run(started)

    assert said == {"http": "http is ready", "work": "work is ready"}
    assert log.told() == [
        *("work begins", "http begins"),
        *("http told", "http ends"),
        *("work told", "work ends"),
    ]


async def test_what_dies_is_started_again_and_the_other_goes_on(log: Log) -> None:
    supervisor = Supervisor([log.spec("http"), log.spec("work")])

    async def started(_told: dict[str, str]) -> None:
        for deaths in (1, 2):
            os.kill(log.pids("http")[-1], signal.SIGKILL)
            await until(lambda deaths=deaths: len(log.pids("http")) == deaths + 1)  # type: ignore[misc]
        os.kill(os.getpid(), signal.SIGINT)

    await supervisor.run(started)

    assert len(log.pids("work")) == 1
    assert log.told().count("work ends") == 1


async def test_what_never_becomes_ready_ends_the_others(log: Log) -> None:
    async def started(_told: dict[str, str]) -> None:
        raise AssertionError("not all are ready")

    with pytest.raises(DidNotStart, match="http"):
        await Supervisor([log.spec("http", fails=True), log.spec("work")]).run(started)

    assert log.told() == ["work begins", "work told", "work ends"]


async def test_a_signal_while_one_starts_ends_all(log: Log) -> None:
    asleep = ProcessSpec("http", (sys.executable, "-c", "import time; time.sleep(60)"))
    running = asyncio.create_task(Supervisor([asleep, log.spec("work")]).run(_never))
    await until(lambda: log.told() == ["work begins"])
    await asyncio.sleep(0.2)

    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, WAIT_S)

    assert log.told() == ["work begins", "work told", "work ends"]


async def test_a_second_signal_is_passed_on(log: Log) -> None:
    async def again() -> None:
        await until(lambda: "http told" in log.told())
        os.kill(os.getpid(), signal.SIGTERM)

    async def started(_told: dict[str, str]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    running, hurrying = Supervisor([log.spec("http")]).run(started), again()
    await asyncio.gather(running, hurrying)

    assert log.told() == ["http begins", "http told", "http told", "http ends"]


async def test_what_is_supervised_ends_in_order_when_its_supervisor_is_killed(log: Log) -> None:
    supervise = (
        "import asyncio, sys\n"
        "from api.cli.supervision import ProcessSpec, Supervisor\n"
        "async def started(told): print('up', flush=True)\n"
        "asyncio.run(Supervisor([ProcessSpec('http', tuple(sys.argv[1:]))]).run(started))\n"
    )
    command = (sys.executable, "-c", supervise, *log.spec("http").command)
    supervisor = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    assert await supervisor.stdout.readline() == b"up\n"
    supervisor.kill()
    await supervisor.wait()

    await until(lambda: log.told() == ["http begins", "http told", "http ends"])


async def _never(_told: dict[str, str]) -> None:
    raise AssertionError("it was ended before")
