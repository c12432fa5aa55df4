"""Workers that run beside each other do not meet, and end at about the same time."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ports
from tests.folders import make_folder
from tests.workers import WORKERS_MAX, order_for_sharing

ROOT = Path(__file__).parents[1]
SESSION = """
import time
from pathlib import Path

import pytest
from xdist.workermanage import NodeManager

from tests.workers import Worker, Workers, is_worker

NodeManager.EXIT_TIMEOUT = 1


def pytest_configure(config):
    config.pluginmanager.register(Worker(config) if is_worker(config) else Workers())


@pytest.fixture(scope="session")
def made():
    Path("made").touch()
    yield
    time.sleep(2)
    Path("made").unlink()
"""
"""A session in which cleaning up takes longer than pytest-xdist waits for its workers."""


class FakeItem:
    """A test of a file, as pytest collects it."""

    def __init__(self, file: str, *marks: str) -> None:
        self.location = (file, None, "")
        self._marks = [getattr(pytest.mark, mark).mark for mark in marks]

    def iter_markers(self) -> list[pytest.Mark]:
        """Return the marks of the test, its file's counted."""
        return self._marks


def test_no_two_workers_are_given_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[int]] = []
    for worker in range(WORKERS_MAX):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        monkeypatch.setattr(ports, "_numbers", itertools.count(7))
        given.append({ports.free_port() for _ in range(200)})

    assert [len(one) for one in given] == [200] * WORKERS_MAX
    assert len(set.union(*given)) == 200 * WORKERS_MAX
    assert max(set.union(*given)) < 32_768


def test_a_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = ports.free_port()
    monkeypatch.setattr(ports, "_numbers", itertools.count(taken - ports._FIRST))
    with socket.create_server(("127.0.0.1", taken)):
        assert ports.free_port() != taken


def test_files_that_take_long_come_first_and_their_tests_stay_together() -> None:
    quick, slow, host = FakeItem("quick.py"), FakeItem("mixed.py", "slow"), FakeItem("host.py", "host", "slow")
    beside_slow, beside_host = FakeItem("mixed.py"), FakeItem("host.py")
    items = [quick, beside_slow, slow, beside_host, host]

    order_for_sharing(items)  # type: ignore[arg-type]

    assert items == [beside_host, host, beside_slow, slow, quick]


def test_a_folder_for_postgresql_is_on_the_disk_where_memory_is_no_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.folders._MEMORY", tmp_path / "nowhere")
    folder = make_folder()

    assert folder.stat().st_mode & 0o777 == 0o711
    folder.rmdir()


@pytest.mark.slow
def test_workers_of_a_session_that_is_ended_clean_up_before_they_end(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SESSION)
    (tmp_path / "test_it.py").write_text("import time\n\n\ndef test_it(made):\n    time.sleep(60)\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = (sys.executable, "-m", "pytest", "-n1", "-p", "no:cacheprovider")
    session = subprocess.Popen(
        command, cwd=tmp_path, env=environment | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "made").exists():
        assert session.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)

    session.send_signal(signal.SIGINT)

    assert session.wait(60) == pytest.ExitCode.INTERRUPTED
    assert not (tmp_path / "made").exists()
