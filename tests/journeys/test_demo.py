"""The journey of whoever tries it: the demo starts a service of its own, walks through it, and leaves nothing."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.folders import make_folder

pytestmark = pytest.mark.slow


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Give a folder for temporary files in which nobody else makes any, and which PostgreSQL's user may enter."""
    folder = make_folder("litevps-demo-")
    yield folder
    shutil.rmtree(folder)


def test_the_demo_ends_well_and_leaves_nothing_behind(temporary: Path, free_port: int) -> None:
    demo = (sys.executable, "-m", "api.cli.program", "demo", "--compute", "simulated", "--port", str(free_port))
    environment = {**os.environ, "TMPDIR": str(temporary)}
    shown = subprocess.run(demo, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "→ press Pay at http://127.0.0.1" in shown.stdout
    assert '"state": "running"' in shown.stdout
    assert '"exit_code": 0' in shown.stdout
    assert "floor(4200 · 1 / 60) = 70 micro-USD" in shown.stdout
    assert re.search(r"0 \+ (\d+) = \1 micro-USD; it closes with \1", shown.stdout)
    assert re.search(r"sound up to position \d+", shown.stdout)
    assert "FAULTY" not in shown.stdout
    assert re.findall(r"^(\d+)\. ", shown.stdout, re.MULTILINE) == [str(n) for n in range(1, 9)]
    assert list(temporary.iterdir()) == []
