"""Takes each protection out of a copy of the source, and tells whether a test goes red."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from tests.mutations.mutation import Mutation
from tests.mutations.table import MUTATIONS

ROOT = Path(__file__).parents[2]
COPIED = ("domain", "adapters", "api", "projections", "migrations", "tests", "docs", "scripts")
FILES = ("pyproject.toml", "README.md", "Makefile")
TEST_TIMEOUT_S = 600


def main(names: Sequence[str]) -> int:
    """Try the mutations of these names, or all, one for each processor at a time; return how many no test noticed."""
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    unnoticed = 0
    at_once = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="litevps-mutations-") as folder, ThreadPoolExecutor(at_once) as threads:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(at_once):
            copies.put(_copied(Path(folder) / str(number)))
        tried = {threads.submit(_try_in_one_of, copies, mutation): mutation for mutation in chosen}
        for done in as_completed(tried):
            mutation, noticed = tried[done], done.result()
            unnoticed += not noticed
            print(f"{'red' if noticed else 'GREEN'}\t{mutation.name}\t{mutation.test}", flush=True)
    print(f"{len(chosen) - unnoticed} of {len(chosen)} noticed")
    return unnoticed


def _copied(copy: Path) -> Path:
    for room in COPIED:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


def _try_in_one_of(copies: SimpleQueue[Path], mutation: Mutation) -> bool:
    copy = copies.get()
    try:
        return _is_noticed(copy, mutation)
    finally:
        copies.put(copy)


def _is_noticed(copy: Path, mutation: Mutation) -> bool:
    path = copy / mutation.path
    source = path.read_text()
    assert source.count(mutation.old) == 1, f"{mutation.name}: not found once in {mutation.path}: {mutation.old!r}"
    path.write_text(source.replace(mutation.old, mutation.new))
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutation.test.split()]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=TEST_TIMEOUT_S, check=False)
    finally:
        path.write_text(source)
    # 1: tests failed; anything else, such as a test that is not there, notices nothing.
    noticed = done.returncode == 1 and "FAILED " in done.stdout
    if not noticed:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    return noticed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
