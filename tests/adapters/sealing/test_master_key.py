"""The master key is made once, kept from others, and never used itself."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.sealing.master_key import (
    BadMasterKey,
    MasterKey,
    add_master_key,
    parse_master_key,
    read_or_make_master_key,
    read_or_make_ring,
    remove_master_key,
    ring_of,
)


def test_a_key_made_at_the_first_start_is_the_key_of_the_second(tmp_path: Path) -> None:
    file = tmp_path / "master.key"

    first = read_or_make_master_key(file)

    assert read_or_make_master_key(file).derive("jwt") == first.derive("jwt")
    assert file.stat().st_mode & 0o777 == 0o600


def test_all_who_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    for start in range(20):
        file = tmp_path / f"master.{start}"
        together = threading.Barrier(8)

        def derived(file: Path = file, together: threading.Barrier = together) -> bytes:
            together.wait(10)
            return read_or_make_master_key(file).derive("jwt")

        with ThreadPoolExecutor(8) as threads:
            assert len({one.result() for one in [threads.submit(derived) for _ in range(8)]}) == 1
    assert len(list(tmp_path.iterdir())) == 20


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    read_or_make_master_key(file)
    file.chmod(0o640)

    with pytest.raises(BadMasterKey, match="others may read"):
        read_or_make_master_key(file)


@pytest.mark.parametrize("text", ["", "short", "not base64!", "QUJD", "QUJD" * 20])
def test_what_is_not_32_bytes_in_base64_is_refused(text: str) -> None:
    with pytest.raises(BadMasterKey):
        parse_master_key(text)


def test_secrets_of_two_purposes_have_nothing_in_common() -> None:
    key = MasterKey(bytes(32))

    assert key.derive("jwt") != key.derive("mail")
    assert key.derive("jwt") not in (bytes(32), MasterKey(bytes([1]) * 32).derive("jwt"))


def test_what_is_derived_never_changes_between_releases() -> None:
    """Golden, computed by hand from RFC 5869: with another value no kept secret would be found again."""
    expected = "bdd55cd3a85223bf177cf9ab30dbe59a6e7309e14476c9344c59ae63fa4bcca2"

    assert MasterKey(bytes(range(32))).derive("keyed hash").hex() == expected


def test_whoever_could_read_the_file_still_can_after_it_was_changed(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    first = read_or_make_ring(file).first
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 65_534, 65_533)
    before = file.stat()

    made = add_master_key(file)
    remove_master_key(file, first.id)

    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert [one.id for one in ring_of(file, private=False)] == [made.id]
    assert list(tmp_path.iterdir()) == [file]
