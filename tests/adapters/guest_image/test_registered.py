"""An image that somebody brings: copied, looked at by nobody with little power, refused if it leads elsewhere."""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from adapters.guest_image import registered
from adapters.guest_image.registered import ImageRefused, bring, discard


def qemu_img(*arguments: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Give a folder of images beneath one that nobody else may pass, as a home folder may be."""
    folder = tmp_path / "home" / "images"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    return folder


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """Give a whole image of 1.5 GiB, hardly anything of it written."""
    raw, file = tmp_path / "raw", tmp_path / "good.qcow2"
    raw.write_bytes(b"x" * 300_000)
    os.truncate(raw, 1536 * 1024**2)
    qemu_img("convert", "-O", "qcow2", raw, file)
    return file


def left_in(images: Path) -> set[str]:
    return {path.name for path in images.iterdir()} - {".bringing"}


def test_an_image_is_copied_byte_by_byte_and_found_by_its_digest(images: Path, qcow2: Path) -> None:
    sha256 = hashlib.sha256(qcow2.read_bytes()).hexdigest()
    brought = bring(images, "rocky", qcow2, sha256=sha256.upper())
    disk = images / brought.key / "disk.qcow2"
    assert (brought.key, brought.sha256, brought.disk_gb_min) == (f"rocky-{sha256[:16]}", sha256, 2)
    assert disk.read_bytes() == qcow2.read_bytes()
    assert not disk.samefile(qcow2), "whoever brought it may write to it later"
    assert bring(images, "rocky", qcow2) == brought, "brought twice, there once"
    assert left_in(images) == {brought.key}


def test_a_link_is_followed_once_and_not_kept(images: Path, qcow2: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(qcow2)
    brought = bring(images, "linked", tmp_path / "link")
    assert not (images / brought.key / "disk.qcow2").is_symlink()


def test_another_checksum_is_refused(images: Path, qcow2: Path) -> None:
    with pytest.raises(ImageRefused, match="SHA-256"):
        bring(images, "rocky", qcow2, sha256="00" * 32)
    assert left_in(images) == set()


def with_backing_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the host")
    qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", tmp_path / "secret", file)


def with_data_file(file: Path, tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", file, "1M")


def encrypted(file: Path, _: Path) -> None:
    qemu_img("create", "-f", "qcow2", file, "1M")
    content = bytearray(file.read_bytes())
    content[32:36] = (2).to_bytes(4, "big")  # LUKS; qemu-img itself would work at a key for a second.
    file.write_bytes(content)


def huge(file: Path, _: Path) -> None:
    qemu_img("create", "-f", "qcow2", file, "2T")


def with_a_snapshot(file: Path, _: Path) -> None:
    qemu_img("create", "-f", "qcow2", file, "1M")
    qemu_img("snapshot", "-c", "memory-of-others", file)


def raw(file: Path, _: Path) -> None:
    file.write_bytes(b"\0" * 100_000)


def short(file: Path, _: Path) -> None:
    file.write_bytes(b"QFI\xfb\0\0\0\3")


def damaged(file: Path, _: Path) -> None:
    qemu_img("create", "-f", "qcow2", file, "1M")
    content = bytearray(file.read_bytes())
    content[40:48] = (2**63 - 512).to_bytes(8, "big")  # Where its first table is.
    file.write_bytes(content)


def a_folder(file: Path, _: Path) -> None:
    file.mkdir()


def a_pipe(file: Path, _: Path) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (with_backing_file, "backing file"),
        (with_data_file, "data file"),
        (encrypted, "encrypted"),
        (huge, "is not from 1 to"),
        (with_a_snapshot, "snapshots"),
        (raw, "no qcow2"),
        (short, "no qcow2"),
        (damaged, "qemu-img cannot read it"),
        (a_folder, "no file"),
        (a_pipe, "no file"),
        (lambda _file, _folder: None, "cannot be read"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_leads_elsewhere_or_is_no_image_is_refused(images: Path, tmp_path: Path, make: object, why: str) -> None:
    file = tmp_path / "file"
    make(file, tmp_path)  # type: ignore[operator]
    with pytest.raises(ImageRefused, match=why):
        bring(images, "bad", file)
    assert left_in(images) == set()


def test_a_file_for_which_there_is_no_room_is_refused(
    images: Path, qcow2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registered, "KEPT_FREE_BYTES", 2**60)
    with pytest.raises(ImageRefused, match="there is room for"):
        bring(images, "rocky", qcow2)


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root cannot become nobody")
def test_whoever_looks_into_it_is_nobody_and_is_bounded(
    images: Path, qcow2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # It is nobody who has to find what is in it.
        instead = Path(folder) / "qemu-img"
        instead.write_text("#!/bin/sh\necho $(id -u) $(id -G) $(ulimit -t) $(ulimit -v) $(ulimit -f) >&2\nexit 1\n")
        instead.chmod(0o755)
        monkeypatch.setattr(os, "defpath", f"{folder}:{os.defpath}")
        with pytest.raises(ImageRefused, match="65534 65534 20 1048576 0"):
            bring(images, "rocky", qcow2)


def test_what_a_copy_that_died_left_is_swept(images: Path, qcow2: Path) -> None:
    (images / ".bringing-dead").mkdir()
    brought = bring(images, "rocky", qcow2)
    assert left_in(images) == {brought.key}


def test_files_go_unless_a_disk_lies_upon_them(images: Path, qcow2: Path) -> None:
    key = bring(images, "rocky", qcow2).key
    assert discard(images, [key], lambda asked: asked == key) == {key}
    assert (images / key / "disk.qcow2").is_file()
    assert discard(images, [key], lambda _: False) == frozenset()
    assert left_in(images) == set()
    assert discard(images, [key], lambda _: False) == frozenset(), "what is gone is gone"


@pytest.mark.parametrize("used", [True, False])
def test_a_removal_that_died_is_ended_by_the_next(images: Path, qcow2: Path, used: bool) -> None:
    key = bring(images, "rocky", qcow2).key
    (images / key).rename(images / f".removed-{key}")
    discard(images, [], lambda _: used)
    assert left_in(images) == ({key} if used else set())


def test_files_are_out_of_the_way_while_it_is_looked_for_disks(images: Path, qcow2: Path) -> None:
    key = bring(images, "rocky", qcow2).key
    there: list[bool] = []

    def is_used(_: str) -> bool:
        there.append((images / key).exists())
        return False

    discard(images, [key], is_used)
    assert there == [False], "whoever says just then that it lies upon them finds them gone, and does not go on"
