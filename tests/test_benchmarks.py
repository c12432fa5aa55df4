"""What is measured is judged beside what the same machine could do at most, and told on a page."""

import importlib
from pathlib import Path

import msgspec
import pytest

from tests.bench import against, page
from tests.bench.__main__ import table
from tests.bench.figures import Figure

BENCHES = sorted(path.stem for path in Path(against.__file__).parent.glob("bench_*.py"))
RATE = Figure(
    name="appends", measured=2_000, unit="/s", floor=4_000, floor_is="a bare INSERT", target=0.5, note="8 callers"
)
TIME = Figure(name="a tick", measured=2.8, unit="s", floor=0.5, floor_is="a COPY", target=6, at_most=True)
UNTOLD = Figure(name="a start", measured=9.5, unit="s", floor=0.5, floor_is="a COPY")


@pytest.mark.parametrize("figure", [RATE, TIME])
@pytest.mark.parametrize("speed", [0.1, 1, 7])
def test_a_target_is_met_or_missed_whatever_the_speed_of_the_machine(figure: Figure, speed: float) -> None:
    on_another = msgspec.structs.replace(figure, measured=figure.measured * speed, floor=figure.floor * speed)

    assert on_another.is_met is True
    assert figure.target is not None
    worse = figure.target * (0.9 if figure.at_most else 1.1)
    assert msgspec.structs.replace(on_another, target=worse).is_met is False


def test_a_figure_without_a_target_is_neither_met_nor_missed() -> None:
    assert UNTOLD.is_met is None


def test_the_page_tells_what_was_measured_its_floor_its_ratio_and_whether_the_target_is_met(tmp_path: Path) -> None:
    missed = msgspec.structs.replace(TIME, measured=4)

    page.write({"store": [RATE], "tick": [missed, UNTOLD]}, tmp_path / "page.md")

    told = (tmp_path / "page.md").read_text()
    assert "| appends | a bare INSERT | 0.5 | ≥ 0.5 | met |" in told
    assert "| a tick | a COPY | 8 | ≤ 6 | **missed** |" in told
    assert "| a start | a COPY | 19 |  |  |" in told
    assert "| appends | 2,000 /s | 4,000 /s | 8 callers |" in told


@pytest.mark.parametrize("bench", BENCHES)
def test_every_measurement_is_on_the_page_with_what_it_is_about(bench: str) -> None:
    about = importlib.import_module(f"tests.bench.{bench}").__doc__
    assert about is not None

    assert f"## {bench.removeprefix('bench_')}\n\n{about.splitlines()[0]}\n" in page.PAGE.read_text()


def test_what_a_table_tells_is_read_again() -> None:
    assert against.read(table([[RATE, TIME], [UNTOLD]])) == {
        "appends": (2_000, "/s"),
        "a tick": (2.8, "s"),
        "a start": (9.5, "s"),
    }


def test_the_table_of_an_older_tree_is_read() -> None:
    older = (
        "what                        ours  beside    ratio  target\n"
        "appends, 8 callers  1.543e+04 /s   1,234  12.50 ×     ≥ 6  holds\n"
        "a tick                   3.446 s                      ≤ 3  MISSED 10,000 accounts\n"
    )

    assert against.read(older) == {"appends, 8 callers": (15_430, "/s"), "a tick": (3.446, "s")}


def test_two_trees_are_measured_in_turn_each_by_its_own_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tree(tmp_path / "old", "a tick  {} s", 4)
    new = tree(tmp_path / "new", "a tick  {} s  0.5  6 ×", 2)

    assert against.compare(old, new, ["tick"], rounds=1) == 0

    told = capsys.readouterr()
    assert told.out.splitlines()[1].split() == ["a", "tick", "s", "0.556", "4", "5;", "2", "3"]
    measured = [line.split()[-2] for line in told.err.splitlines()]
    assert measured == [str(tree) for tree in (old, new, new, old)]


def test_a_tree_that_cannot_be_measured_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tree(tmp_path / "good", "a tick  {} s", 4), tree(tmp_path / "bad", "nothing", 0)

    assert against.compare(good, bad, ["tick"], rounds=1) == 1

    assert f"{bad} could not be measured" in capsys.readouterr().err


def tree(folder: Path, line: str, seconds: int) -> Path:
    """Make a tree whose measurement tells one line, a second more each time."""
    package = folder / "tests" / "bench"
    package.mkdir(parents=True)
    for module in (folder / "tests" / "__init__.py", package / "__init__.py"):
        module.touch()
    count = folder / "count"
    count.write_text(str(seconds))
    (package / "__main__.py").write_text(
        "from pathlib import Path\n"
        f"count = Path({str(count)!r})\n"
        "seconds = int(count.read_text())\n"
        "count.write_text(str(seconds + 1))\n"
        f"print({line!r}.format(seconds))\n"
    )
    return folder
