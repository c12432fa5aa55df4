"""Runs every measurement, or those named, and prints one table; ends with 1 where a target is missed.

Each module ``tests/bench/bench_*.py`` offers ``async def run() -> list[Figure]``.
"""

import importlib
import sys
from pathlib import Path

import uvloop

from tests.bench.figures import Figure


def main(wanted: list[str]) -> int:
    """Measure; ``wanted``: names such as ``store``, all if there are none."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    unknown = set(wanted) - set(known)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in wanted or known:
        print(f"measuring {name} …", file=sys.stderr)
        found: list[Figure] = uvloop.run(importlib.import_module(f"tests.bench.bench_{name}").run())
        figures += found
    print(table(figures))
    return 1 if any(figure.holds is False for figure in figures) else 0


def table(figures: list[Figure]) -> str:
    """Return the figures as a table."""
    rows = [("what", "ours", "beside", "ratio", "target", "")]
    rows += [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    beside = "" if figure.theirs is None else f"{figure.theirs:,.4g}"
    ratio = "" if figure.theirs is None else f"{figure.judged:.2f} ×"
    target = "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {figure.target:g}"
    verdict = {None: "", True: "holds", False: "MISSED"}[figure.holds]
    return (
        figure.name,
        f"{figure.ours:,.4g} {figure.unit}",
        beside,
        ratio,
        target,
        f"{verdict} {figure.note}".strip(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
