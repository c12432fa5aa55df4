"""The documentation tells what the program has, no less and no more."""

import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import click
import pytest

from api.application.settings import Settings
from api.bootstrap.payments import STAND_IN_PREFIX
from api.cli.program import litevps
from api.http.routes import operations
from domain.codec import UPCASTS
from domain.events import all_events

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
CODE = ("domain", "adapters", "api", "projections", "migrations", "tests", "scripts", ".ci")
GLOSSARY = (DOCS / "glossary.md").read_text()
ENDPOINTS = operations()
SETTINGS_PAGE = (DOCS / "reference" / "settings.md").read_text()
TOKENS_PAGE = (DOCS / "explanation" / "tokens.md").read_text()

pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_is_on_the_page_of_settings(name: str) -> None:
    assert f"| `{name}` | `LITEVPS_{name.upper()}` |" in SETTINGS_PAGE


def test_every_setting_on_its_page_is_one() -> None:
    told = re.findall(r"^\| `(\w+)` \| `LITEVPS_", SETTINGS_PAGE, re.MULTILINE)

    assert set(told) == set(Settings.__struct_fields__)


def test_every_decision_is_in_the_list_of_decisions() -> None:
    pages = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    listed = (DOCS / "decisions" / "README.md").read_text()

    assert [page for page in pages if f"({page})" not in listed] == []


@pages
def test_environment_variables_that_are_named_are_read(page: Path) -> None:
    of_settings = {f"LITEVPS_{name.upper()}{end}" for name in Settings.__struct_fields__ for end in ("", "_FILE")}
    named = set(re.findall(r"LITEVPS_[A-Z_]*[A-Z]", page.read_text()))

    assert [name for name in named - of_settings if not is_in_code(name)] == []


@pages
def test_files_and_modules_that_are_named_are_there(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(map(re.escape, CODE))})/[\w./-]*)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists() and not is_attribute(name)] == []


@pages
def test_commands_that_are_named_are_there_with_their_flags(page: Path) -> None:
    wrong = [line for line in commands_on(page.read_text()) if (problem := unknown_in(line)) is not None and problem]

    assert wrong == []


@pages
def test_targets_of_make_that_are_named_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`make ([a-z]+)", page.read_text())) - targets == set()


@pages
def test_endpoints_that_are_named_are_served(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"\b(GET|POST|PUT|DELETE|PATCH) (/[\w/{}.-]*[\w}])", text)

    assert [one for one in named if not is_served(*one)] == []
    paths = [path for path in re.findall(r"\$URL(/[\w/$-]*[\w])", text) if not path.startswith(f"{STAND_IN_PREFIX}/")]
    assert [path for path in paths if not any(is_served(one.method, path) for one in ENDPOINTS)] == []


@pages
def test_events_that_are_named_are_recorded(page: Path) -> None:
    contexts = "|".join({name.partition(".")[0] for name in all_events()})
    named = set(re.findall(rf"\b(?:{contexts})\.[a-z-]+\.v\d+", page.read_text()))

    assert named - all_events().keys() - UPCASTS.keys() == set()


def test_what_a_scope_is_said_to_open_is_what_it_opens() -> None:
    opening = {endpoint.scope for endpoint in ENDPOINTS if endpoint.scope not in (None, "any")}
    told = dict(re.findall(r"^\| `([a-z:]+)` \| (.+) \|$", TOKENS_PAGE, re.MULTILINE))

    assert {scope for scope, calls in told.items() if calls != "nothing yet"} == opening
    assert set(re.findall(r"`([a-z:]+)`", glossed("scope"))) == opening


def test_every_word_of_the_glossary_is_one_of_the_product() -> None:
    words = re.findall(r"^\| ([A-Za-z][\w -]*) \|", GLOSSARY, re.MULTILINE)

    assert [word for word in words if word != "word" and not is_in_product(word)] == []


def test_whoever_is_said_to_know_adapters_alone_does() -> None:
    said = re.search(r"(\S+) ──► adapters", (ROOT / "README.md").read_text())
    assert said is not None
    knowing = {module_of(path) for path in (ROOT / "api").rglob("*.py") if "\nfrom adapters" in path.read_text()}

    assert knowing
    assert [module for module in knowing if not fnmatch(module, said[1])] == []


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def is_in_code(name: str) -> bool:
    return any(name in path.read_text(errors="ignore") for room in CODE for path in files_of(room))


def files_of(room: str) -> Iterator[Path]:
    return (path for path in (ROOT / room).rglob("*") if path.is_file() and path.suffix != ".pyc")


def is_in_product(word: str) -> bool:
    """Return whether a word of the glossary, or the name of a class or function for it, is in the product."""
    small, large = r"[ _-]".join(word.split()), "".join(part.capitalize() for part in word.split())
    spelt = re.compile(rf"(?<![A-Za-z])(?:{small}|{large})(?![b-rt-z])")
    return any(spelt.search(path.read_text()) for room in CODE[:4] for path in (ROOT / room).rglob("*.py"))


def glossed(word: str) -> str:
    found = re.search(rf"^\| {word} \| (.*) \|$", GLOSSARY, re.MULTILINE)
    assert found is not None
    return found[1]


def is_attribute(name: str) -> bool:
    """Return whether this is something in a module, such as ``api/http/idempotency.act``."""
    module, _, attribute = name.rpartition(".")
    if not (ROOT / f"{module}.py").exists():
        return False
    return hasattr(importlib.import_module(module.replace("/", ".")), attribute)


def is_served(method: str, path: str) -> bool:
    """Return whether an endpoint has this path, whatever stands in it where the endpoint's has a name in braces."""
    return any(
        one.method == method and re.fullmatch(re.sub(r"\\?\{\w+\\?\}", r"[^/]+", re.escape(one.path)), path)
        for one in ENDPOINTS
    )


def commands_on(text: str) -> Iterator[str]:
    """Return every command line of ours that stands in backticks or in a block of shell."""
    for span in re.findall(r"`([^`\n]+)`", text):
        yield from re.findall(r"^(?:\.venv/bin/)?(litevps [^|;&]*)", span)
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from re.findall(r"^(?:\.venv/bin/)?(litevps [^|;&\n#]*)", block, re.MULTILINE)


def unknown_in(line: str) -> str | None:
    """Return the first command or flag in a command line that there is not; None where there are all."""
    command: click.Command = litevps
    for word in line.split()[1:]:
        if word == "--":
            return None
        bare = word.strip("[]…,")
        if bare.startswith("-"):
            flag = bare.partition("=")[0]
            if flag not in ("-h", "--help") and not any(flag in parameter.opts for parameter in command.params):
                return flag
        elif isinstance(command, click.Group):
            found = command.commands.get(bare)
            if found is None:
                return bare
            command = found
    return None
