"""Runs every measurement, or those named, and prints one table; ends with 1 where a target is missed.

Each module ``tests/bench/bench_*.py`` offers ``async def run() -> list[Figure]``. A run of all of them writes
``docs/reference/benchmarks.md``. ``--against`` compares two trees instead (``tests/bench/against.py``).
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.bench import against, page, sizes
from tests.bench.figures import Figure


def main(arguments: Sequence[str]) -> int:
    """Measure as the arguments say; return the exit status."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    asked = _parser(known).parse_args(arguments)
    sizes.choose("large" if asked.large else "usual")
    if asked.against is not None:
        return against.compare(asked.against, against.HERE, asked.names or against.NAMES, asked.rounds)
    if unknown := sorted(set(asked.names) - set(known)):
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    began_s = time.monotonic()
    names = asked.names or known
    figures = _measured(names)
    print(table(list(figures.values())))
    print(f"measured in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    if figures.keys() >= set(known):
        page.write(figures)
    missed = [figure.name for several in figures.values() for figure in several if figure.is_met is False]
    failed = sorted(set(names) - figures.keys())
    for what, which in (("missed", missed), ("failed", failed)):
        if which:
            print(f"{what}: {', '.join(which)}", file=sys.stderr)
    return 1 if missed or failed else 0


def _parser(known: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure, beside floors of this machine."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all if there are none")
    parser.add_argument("--large", action="store_true", help="a million events and a whole year, which takes long")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="a checkout of another revision: measure it and this one in turn, by each one's own code",
    )
    parser.add_argument("--rounds", type=int, default=1, help="of before, after, after, before; with --against")
    return parser


def _measured(names: Sequence[str]) -> dict[str, list[Figure]]:
    """Return the figures by the name of what measured them; what fails is told of and left out."""
    figures: dict[str, list[Figure]] = {}
    # Several measure the ledger of one customer who has been there long: it is made once.
    made = None if sizes.LONG_LIFE in os.environ else tempfile.mkdtemp(prefix="litevps-bench-")
    os.environ.setdefault(sizes.LONG_LIFE, made or "")
    try:
        for name in names:
            print(f"measuring {name} …", file=sys.stderr)
            try:
                figures[name] = uvloop.run(importlib.import_module(f"tests.bench.bench_{name}").run())
            except Exception:  # noqa: BLE001 — whatever it is, the others are measured all the same.
                traceback.print_exc()
    finally:
        if made is not None:
            del os.environ[sizes.LONG_LIFE]
            shutil.rmtree(made)
    return figures


def table(figures: Sequence[Sequence[Figure]]) -> str:
    """Return the figures as a table."""
    rows = [("what", "measured", "floor", "ratio", "target", "")]
    rows += [_row(figure) for several in figures for figure in several]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    told = {None: "", True: "met", False: "MISSED"}[figure.is_met]
    return (
        figure.name,
        f"{figure.measured:,.4g} {figure.unit}",
        f"{figure.floor:,.4g}",
        f"{figure.ratio:.3g} ×",
        page.target_of(figure),
        f"{told:6} {figure.floor_is}{f'; {figure.note}' if figure.note else ''}",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
