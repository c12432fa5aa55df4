"""The checklists for whoever changes the product name what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "extend.md"
_ROW = re.compile(r"^\| [^|]+ \| `([^`]+)` \| (.+) \|$", re.MULTILINE)
ROWS = [(file, named) for file, names in _ROW.findall(PAGE.read_text()) for named in re.findall(r"`([^`]+)`", names)]


def test_every_row_of_a_checklist_names_a_file() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| | file")]

    assert len(rows) - sum(line.startswith("| --- |") for line in rows) == len(_ROW.findall(PAGE.read_text())) > 0


@pytest.mark.parametrize(("file", "named"), ROWS)
def test_what_a_row_names_is_in_its_file(file: str, named: str) -> None:
    assert named in (ROOT / file).read_text()
