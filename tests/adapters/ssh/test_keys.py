"""The service's own SSH key and guests' host keys."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh

from adapters.ssh.keys import KEY_FILE, ensure_service_key, new_host_key


def test_the_services_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "ssh"
    first = ensure_service_key(folder)
    assert ensure_service_key(folder) == first
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in folder.iterdir()] == [KEY_FILE]


def test_services_that_start_at_once_come_to_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: ensure_service_key(tmp_path), range(8)))
    assert len(keys) == 1


def test_a_host_key_is_new_each_time_and_its_halves_belong_together() -> None:
    private, public = new_host_key()
    assert asyncssh.import_private_key(private).export_public_key().split()[:2] == public.encode().split()[:2]
    assert new_host_key() != (private, public)
