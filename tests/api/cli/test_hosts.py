"""Tests of `litevps host`."""

import fcntl
from pathlib import Path

import pytest

from tests.api.cli.conftest import Type


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home whose host was never started, but is there."""
    home = tmp_path / "home"
    (home / "host").mkdir(parents=True)
    return home


def test_the_host_of_a_service_that_runs_is_not_stopped(typed: Type, home: Path) -> None:
    with (home / "hosts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        refused = typed("host", "stop")
    assert refused.exit_code == 1
    assert f"a service runs on the host of {home}" in refused.stderr
    assert "--force" in refused.stderr
    assert not (home / "host" / "last-command.log").exists()


def test_where_there_is_no_host_none_is_stopped_and_no_home_made(typed: Type, tmp_path: Path) -> None:
    refused = typed("host", "stop")
    assert refused.exit_code == 1
    assert f"there is no embedded host in {tmp_path / 'home'}" in refused.stderr
    assert not (tmp_path / "home").exists()
