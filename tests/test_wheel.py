"""The wheel holds everything that the program needs, and nothing of the tests."""

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("domain", "adapters", "api", "projections", "migrations")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_ASK = """
import importlib.util, json
from importlib import metadata, resources
print(json.dumps({
    "places": {room: importlib.util.find_spec(room).origin for room in %r},
    "migrations": sorted(f.name for f in resources.files("migrations").iterdir() if f.name.endswith(".sql")),
    "commands": {e.name: e.value for e in metadata.entry_points(group="console_scripts")},
    "classifiers": metadata.metadata("litevps").get_all("Classifier"),
}))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True, cwd=folder
    )
    (built,) = folder.glob("litevps-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a new environment, and return the environment's folder."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "--python", folder / "bin" / "python", "install", "--no-deps", wheel], check=True)
    return folder


def test_the_installed_program_finds_its_rooms_its_migrations_and_its_command(installed: Path) -> None:
    answer = subprocess.run(
        [installed / "bin" / "python", "-I", "-c", _ASK % (ROOMS,)], check=True, capture_output=True, cwd=installed
    )
    found = json.loads(answer.stdout)

    assert all(Path(place).is_relative_to(installed) for place in found["places"].values())
    assert found["migrations"] == sorted(path.name for path in (ROOT / "migrations").glob("*.sql"))
    assert found["commands"] == PROJECT["scripts"]
    assert "Private :: Do Not Upload" in found["classifiers"]
    assert (installed / "bin" / "litevps").exists()


def test_every_file_of_the_rooms_is_in_the_wheel_and_no_test_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert ours <= packed
    assert not any(name.startswith("tests/") for name in packed)
