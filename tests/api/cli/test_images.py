"""Tests of `litevps image list`, `add` and `remove`, and of `litevps template`."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.api.cli.conftest import Type

SIZES = ("--vcpu", "1", "--memory-mb", "512", "--disk-gb", "10")


@pytest.fixture
def ledger(typed: Type) -> None:
    """Have a LiteVPS there."""
    assert typed("account", "create", "ann@example.com", stdin="a long password\n").exit_code == 0


@pytest.fixture
def qcow2(tmp_path: Path) -> str:
    """Give an image that somebody made."""
    file = tmp_path / "rocky.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), "3G"], check=True)
    return str(file)


@pytest.mark.usefixtures("ledger")
def test_an_image_is_added_listed_and_removed(typed: Type, qcow2: str, tmp_path: Path) -> None:
    (lite,) = json.loads(typed("image", "list", "-o", "json").stdout)
    assert (lite["name"], lite["ships"], lite["registered_at"]) == ("debian-12-lite", True, None)
    assert "ships" in typed("image", "list").stdout
    (added,) = json.loads(typed("image", "add", "rocky-9", qcow2, "-o", "json").stdout)
    assert (added["name"], added["boots"], added["user_data"], added["disk_gb_min"]) == (
        *("rocky-9", "loader", "cloud-init", 3),
    )
    assert (len(added["host_ids"]), added["ships"]) == (1, False)
    assert json.loads(typed("image", "list", "-o", "json").stdout) == [lite, added]
    assert "rocky-9" in typed("image", "list").stdout
    disk = tmp_path / "home" / "images" / added["key"] / "disk.qcow2"
    assert disk.is_file()
    removed = typed("image", "remove", "rocky-9")
    assert (removed.exit_code, disk.exists()) == (0, False)
    assert typed("image", "remove", "rocky-9").exit_code == 1
    assert typed("image", "remove", "debian-12-lite").exit_code == 1


@pytest.mark.usefixtures("ledger")
def test_files_that_a_guest_lies_upon_stay_until_it_is_gone(typed: Type, qcow2: str, tmp_path: Path) -> None:
    (added,) = json.loads(typed("image", "add", "rocky-9", qcow2, "-o", "json").stdout)
    guest = tmp_path / "home" / "host" / "guests" / "01937b1e-5c00-7000-8000-000000000003"
    guest.mkdir(parents=True)
    (guest / "image").write_text(added["key"])
    assert "stay" in typed("image", "remove", "rocky-9").stderr
    assert (tmp_path / "home" / "images" / added["key"] / "disk.qcow2").is_file()


@pytest.mark.usefixtures("ledger")
def test_an_image_that_cannot_be_one_is_refused_and_leaves_nothing(typed: Type, qcow2: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    for words in (("rocky-9", str(tmp_path / "text")), ("Rocky", qcow2), ("rocky-9", qcow2, "--sha256", "00" * 32)):
        assert typed("image", "add", *words).exit_code == 1
    assert typed("image", "add", "debian-12-lite", qcow2).exit_code == 1
    assert [one["name"] for one in json.loads(typed("image", "list", "-o", "json").stdout)] == ["debian-12-lite"]


@pytest.mark.usefixtures("ledger")
def test_an_image_that_everybodys_template_needs_stays(typed: Type, qcow2: str) -> None:
    typed("image", "add", "rocky-9", qcow2)
    offered = typed("template", "add", "rocky-small", "--image", "rocky-9", *SIZES, "-o", "json")
    assert offered.exit_code == 0
    refused = typed("image", "remove", "rocky-9")
    assert (refused.exit_code, type(refused.exception).__name__) == (1, "ImageInUse")
    assert typed("template", "remove", "rocky-small").exit_code == 0
    assert typed("image", "remove", "rocky-9").exit_code == 0


@pytest.mark.usefixtures("ledger")
def test_a_template_is_offered_changed_and_removed(typed: Type, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\ntrue\n")
    typed("template", "add", "small", *SIZES)
    typed("template", "add", "small", *SIZES, "--user-data", str(tmp_path / "script"), "--ttl-minutes", "60")
    (told,) = json.loads(typed("template", "list", "-o", "json").stdout)
    assert (told["name"], told["image"], told["user_data"], told["ttl_minutes"]) == (
        *("small", "debian-12-lite", "#!/bin/sh\ntrue\n", 60),
    )
    assert "small" in typed("template", "list").stdout
    assert typed("template", "add", "other", *SIZES, "--image", "nowhere").exit_code == 1
    assert typed("template", "remove", "small").exit_code == 0
    assert json.loads(typed("template", "list", "-o", "json").stdout) == []
    assert typed("template", "remove", "small").exit_code == 1
