"""Two trees compared in one run, each measured by its own code, in turn: before, after, after, before.

``python -m tests.bench --against PATH [NAME …]``; PATH is a checkout of another revision, measured with its own virtual
environment if it has one, else with this one's. What either prints as a table is read, so the older tree needs nothing
of this one. Figures of one name are compared; a ratio above 1 says that there is more of it now: rates are to be
higher, times lower.
"""

import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

HERE = Path(__file__).parents[2]
NAMES = ("store", "http", "projections", "tick")
_LINE = re.compile(r"(?P<name>\S.*?)  +(?P<measured>-?[\d.,]+(?:e[+-]\d+)?) (?P<unit>[A-Za-z/]+)(?:  .*)?$")


class Compared(msgspec.Struct, frozen=True):
    """One figure of two trees."""

    name: str
    unit: str
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Return after / before, of the medians."""
        return statistics.median(self.after) / statistics.median(self.before)


def compare(old: Path, new: Path, names: Sequence[str], rounds: int) -> int:
    """Measure both trees, print what came of it, and return the exit status: 1 where a tree could not be measured."""
    before: dict[str, list[tuple[float, str]]] = defaultdict(list)
    after: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name in names:
        for _ in range(rounds):
            for tree, found in ((old, before), (new, after), (new, after), (old, before)):
                printed = _printed_by(tree.resolve(), name)
                if printed is None:
                    return 1
                for what, measured in read(printed).items():
                    found[what].append(measured)
    print(table(compared(before, after)))
    return 0


def read(printed: str) -> dict[str, tuple[float, str]]:
    """Return what a table tells: by name, how much was measured, and the unit."""
    found = {}
    for line in printed.splitlines():
        if matched := _LINE.match(line):
            found[matched["name"]] = float(matched["measured"].replace(",", "")), matched["unit"]
    return found


def compared(
    before: Mapping[str, Sequence[tuple[float, str]]], after: Mapping[str, Sequence[tuple[float, str]]]
) -> list[Compared]:
    """Return the figures that both trees have."""
    return [
        Compared(name, seen[0][1], tuple(one for one, _ in before[name]), tuple(one for one, _ in seen))
        for name, seen in after.items()
        if name in before
    ]


def table(figures: Sequence[Compared]) -> str:
    """Return what was compared as a table."""
    width = max((len(figure.name) for figure in figures), default=0)
    head = f"{'what':{width}}  {'unit':>9}  after/before  before; after"
    lines = [
        f"{figure.name:{width}}  {figure.unit:>9}  {figure.ratio:12.3f}  {_each(figure.before)}; {_each(figure.after)}"
        for figure in figures
    ]
    return "\n".join([head, *lines])


def _each(values: Sequence[float]) -> str:
    return " ".join(f"{value:,.4g}" for value in values)


def _printed_by(tree: Path, name: str) -> str | None:
    own = tree / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    print(f"measuring {name} in {tree} …", file=sys.stderr)
    # Its own modules come first: they are in the folder in which it is started.
    done = subprocess.run(
        [python, "-m", "tests.bench", name],
        cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if not read(done.stdout):
        print(f"{tree} could not be measured: it ended with {done.returncode}", file=sys.stderr)
        return None
    return done.stdout
