"""Flags: settings can be typed behind a command, secrets cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.application.settings import SECRETS
from tests.api.cli.conftest import Type


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("command", [("config",), ("serve",), ("doctor",)])
def test_a_secret_is_no_flag(typed: Type, command: tuple[str, ...], name: str) -> None:
    flag = f"--{name.replace('_', '-')}"

    for words in ((flag, "hunter2"), (f"{flag}=hunter2",), (flag,)):
        answer = typed(*command, *words)

        assert answer.exit_code == 2
        assert f"LITEVPS_{name.upper()}_FILE" in " ".join(answer.output.split())
        assert "hunter2" not in answer.output
    assert flag not in typed(*command, "--help").output.split()


def test_a_secret_counts_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2\n")
    environment = os.environ | {"LITEVPS_STRIPE_SECRET_KEY_FILE": str(tmp_path / "key"), "LITEVPS_HOME": str(tmp_path)}

    told = subprocess.run(
        [sys.executable, "-m", "api.cli.program", "config"], capture_output=True, text=True, env=environment, check=True
    ).stdout

    assert "hunter2" not in told
    assert [line.split()[-1] for line in told.splitlines() if "stripe_secret_key" in line] == ["variable"]
