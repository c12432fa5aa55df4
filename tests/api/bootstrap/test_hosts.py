"""What a host is: called by its machine, its home folder and its URI, and not as big as its machine."""

from pathlib import Path

import pytest

from api.bootstrap.hosts import EMBEDDED, disk_for_guests_gb, host_id_of, memory_for_guests_mb


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that names this machine."""
    named = tmp_path / "etc-machine-id"
    monkeypatch.setattr("api.bootstrap.hosts.MACHINE_ID_FILE", named)
    return named


def test_two_machines_with_the_same_home_are_two_hosts(machine: Path, tmp_path: Path) -> None:
    machine.write_text("first\n")
    first = host_id_of(tmp_path, EMBEDDED)
    assert host_id_of(tmp_path, EMBEDDED) == first
    assert host_id_of(tmp_path, "qemu:///system") != first

    machine.write_text("second\n")
    assert host_id_of(tmp_path, EMBEDDED) != first


@pytest.mark.parametrize("named", [None, "", "uninitialized\n"])
def test_a_machine_without_a_name_is_given_one_that_stays(named: str | None, machine: Path, tmp_path: Path) -> None:
    if named is not None:
        machine.write_text(named)
    home = tmp_path / "home"

    first = host_id_of(home, EMBEDDED)

    assert host_id_of(home, EMBEDDED) == first
    assert [path.name for path in home.iterdir()] == ["machine-id"]
    (home / "machine-id").unlink()
    assert host_id_of(home, EMBEDDED) != first


@pytest.mark.parametrize(("total_mb", "for_guests_mb"), [(64_000, 56_000), (8_192, 7_168), (2_000, 976), (512, 0)])
def test_some_memory_is_kept_from_guests(total_mb: int, for_guests_mb: int) -> None:
    assert memory_for_guests_mb(total_mb) == for_guests_mb


@pytest.mark.parametrize(("total_gb", "for_guests_gb"), [(800, 700), (32, 28), (20, 16), (3, 0)])
def test_some_disk_is_kept_from_guests(total_gb: int, for_guests_gb: int) -> None:
    assert disk_for_guests_gb(total_gb * 1024**3 + 1) == for_guests_gb
