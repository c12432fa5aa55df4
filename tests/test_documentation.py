"""The documentation tells what the program has, no less."""

from pathlib import Path

import pytest

from api.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_on_the_page_of_settings(name: str) -> None:
    assert f"| `{name}` | `LITEVPS_{name.upper()}` |" in (DOCS / "reference" / "settings.md").read_text()


def test_every_decision_is_in_the_list_of_decisions() -> None:
    pages = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    listed = (DOCS / "decisions" / "README.md").read_text()

    assert [page for page in pages if f"({page})" not in listed] == []
