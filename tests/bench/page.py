"""The page ``docs/reference/benchmarks.md``, as a run of all measurements writes it."""

import importlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench import sizes
from tests.bench.figures import Figure

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"
_HEAD = """\
# Benchmarks

Written by `make bench`; do not edit. Every figure is measured beside a **floor**: the least that anything would have to
do on the same machine for the same bytes or the same requests, in the same run and in turn with it. Every target is a
**ratio** of the two, so a machine twice as slow meets or misses it just the same. A rate is to be at least so many
times its floor, a time or a size at most. Where the time goes beyond the floor is told in
[Where the time goes](../explanation/speed.md).

`make bench ARGS="store http"` measures some of it, `ARGS=--large` a million events and a whole year. It ends with 1
where a target is missed.
"""


def write(figures: Mapping[str, Sequence[Figure]], path: Path = PAGE) -> None:
    """Write the page; ``figures`` by the name of what measured them."""
    path.write_text("\n".join(_lines(figures)) + "\n")


def target_of(figure: Figure) -> str:
    """Return a target as it is told."""
    return "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {figure.target:g}"


def _lines(figures: Mapping[str, Sequence[Figure]]) -> Iterator[str]:
    yield _HEAD
    for name, several in figures.items():
        doc = importlib.import_module(f"tests.bench.bench_{name}").__doc__ or ""
        yield f"## {name}\n\n{doc.partition(chr(10))[0]}\n"
        yield "| what | floor | ratio | target | |\n| --- | --- | --- | --- | --- |"
        for figure in several:
            told = {None: "", True: "met", False: "**missed**"}[figure.is_met]
            yield f"| {_cell(figure.name)} | {figure.floor_is} | {figure.ratio:.3g} | {target_of(figure)} | {told} |"
        yield ""
    yield f"## The run\n\n{_machine()} {sizes.events():,} events, {sizes.days()} days.\n"
    yield "| what | measured | floor | |\n| --- | --- | --- | --- |"
    for figure in (figure for several in figures.values() for figure in several):
        yield (
            f"| {_cell(figure.name)} | {figure.measured:,.4g} {figure.unit} | {figure.floor:,.4g} {figure.unit} "
            f"| {figure.note} |"
        )


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _machine() -> str:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kvm = "KVM" if os.access("/dev/kvm", os.W_OK) else "no KVM"
    return (
        f"{os.cpu_count()} cores of {_processor()}, {gib:.0f} GiB of memory, {kvm}, "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
