"""The house rules that a program can check: openings, imports of the domain, links."""

import ast
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("domain", "adapters", "api", "projections", "migrations")
DOMAIN_MAY_IMPORT = {"domain", "msgspec"}
NO_CLOCK_DICE_OR_IO = {
    "asyncio", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time",
}  # fmt: skip
ROUNDING_MONEY = {"float", "Decimal"}

MODULES = sorted(chain.from_iterable((ROOT / room).rglob("*.py") for room in (*ROOMS, "tests")))
OF_THE_PRODUCT = [path for path in MODULES if path.relative_to(ROOT).parts[0] in ROOMS]
OF_THE_DOMAIN = [path for path in MODULES if path.relative_to(ROOT).parts[0] == "domain"]
ROOMS_OF_MONEY = {"wallet", "pricing", "payments", "books", "statements", "money.py"}
NEAR_MONEY = [path for path in OF_THE_DOMAIN if path.relative_to(ROOT / "domain").parts[0] in ROOMS_OF_MONEY]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(ROOT)) for path in paths])


@named(MODULES)
def test_a_module_opens_with_one_sentence_saying_what_it_is(path: Path) -> None:
    opening = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]

    assert opening, "there is no docstring"
    assert opening.endswith((".", "!", "?")), f"not a sentence: {opening!r}"
    assert not re.search(r"[.!?] [A-Z]", opening), f"more than one sentence: {opening!r}"


@named([path for path in MODULES if path.name == "__init__.py"])
def test_a_package_is_its_opening_sentence_alone(path: Path) -> None:
    assert len(ast.parse(path.read_text()).body) == 1


@named(OF_THE_DOMAIN)
def test_the_domain_knows_no_clock_no_dice_and_no_world(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports_of(path)}

    assert imported <= set(sys.stdlib_module_names) | DOMAIN_MAY_IMPORT
    assert imported & NO_CLOCK_DICE_OR_IO == set()


@named(NEAR_MONEY)
def test_nothing_that_rounds_comes_near_money(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}

    assert names & ROUNDING_MONEY == set()


@named(NEAR_MONEY)
def test_no_rule_of_money_is_an_assertion_which_would_be_gone_under_optimisation(path: Path) -> None:
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)] == []


@named(OF_THE_PRODUCT)
def test_nothing_is_smuggled_out_of_a_function_or_hangs_on_an_assertion(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    caught = [node.type for node in nodes if isinstance(node, ast.ExceptHandler) and node.type is not None]
    names = [name for kind in caught for name in ast.walk(kind) if isinstance(name, ast.Name)]

    assert [node.lineno for node in nodes if isinstance(node, ast.Nonlocal)] == []
    assert [name.lineno for name in names if name.id == "AssertionError"] == []


@named(OF_THE_PRODUCT)
def test_nothing_is_left_open(path: Path) -> None:
    assert re.findall(r"\b(?:TODO|FIXME|HACK)\b", path.read_text()) == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@named(PAGES)
def test_links_of_the_documentation_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    local = [target.split("#")[0] for target in targets if "://" not in target and not target.startswith("mailto:")]

    assert [target for target in local if target and not (path.parent / target).exists()] == []


@named(PAGES)
def test_every_page_is_reached_from_the_index(path: Path) -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (page.parent / target.split("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if "://" not in target
    }

    assert path in (ROOT / "README.md", index) or path.resolve() in linked


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
