"""The image builder: once a recipe, whole or not at all, within its bounds."""

import gzip
import multiprocessing
import os
import struct
from pathlib import Path

import msgspec
import pytest

from adapters.guest_image import builder
from adapters.guest_image.boot_files import write_initrd
from adapters.guest_image.builder import GuestImage, ImageNotBuilt, ensure_built, find_built
from adapters.guest_image.full import FULL
from adapters.guest_image.kernel import unpacked_kernel, write_sparse
from adapters.guest_image.lite import LITE
from adapters.guest_image.recipe import Recipe

SIZE_BYTES_MAX = 60_000_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root builds by sudo, in another process")


@pytest.mark.host
def test_the_image_is_small(guest_image: GuestImage) -> None:
    assert sum(path.stat().st_blocks * 512 for path in guest_image.folder.iterdir()) < SIZE_BYTES_MAX


@pytest.mark.host
def test_the_image_tells_what_it_is_made_of(guest_image: GuestImage) -> None:
    about = msgspec.json.decode((guest_image.folder / "about.json").read_bytes())
    assert any(package.startswith("openssh-server 1:9") for package in about["packages"])


@pytest.mark.host
def test_the_kernel_needs_no_unpacking(guest_image: GuestImage) -> None:
    assert guest_image.kernel.read_bytes()[:4] == b"\x7fELF"


@pytest.mark.host
def test_an_image_is_built_once(guest_image: GuestImage) -> None:
    before = guest_image.disk.stat().st_mtime_ns
    assert ensure_built(guest_image.folder.parent) == guest_image
    assert guest_image.disk.stat().st_mtime_ns == before


def test_another_recipe_has_another_key() -> None:
    assert LITE.content_key() == LITE.content_key() != FULL.content_key()
    assert msgspec.structs.replace(LITE, packages=(*LITE.packages, "cowsay")).key != LITE.key


@as_root
def test_a_build_that_fails_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageNotBuilt, match="not installed"):
        ensure_built(tmp_path / "images")
    assert [path.name for path in (tmp_path / "images").iterdir()] == [".lock"]
    assert find_built(tmp_path / "images") is None


@as_root
def test_builders_at_once_wait_for_one_another(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    builders = [context.Process(target=_build_slowly, args=(tmp_path,)) for _ in range(3)]
    for process in builders:
        process.start()
    for process in builders:
        process.join(30)
    assert [process.exitcode for process in builders] == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"


@as_root
def test_what_a_builder_that_died_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leftover = tmp_path / ".building-dead"
    leftover.mkdir()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageNotBuilt):
        ensure_built(tmp_path)
    assert not leftover.exists()


def test_a_kernel_packed_in_an_unknown_way_is_used_as_it_is(tmp_path: Path) -> None:
    packed = bytearray(2048)
    struct.pack_into("<II", packed, 0x248, 0, 512)
    assert unpacked_kernel(bytes(packed)) == bytes(packed)


def test_holes_read_as_what_was_there(tmp_path: Path) -> None:
    content = b"kernel" + b"\0" * 100_000 + b"end" + b"\0" * 5000
    write_sparse(content, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == content
    assert (tmp_path / "file").stat().st_blocks * 512 < len(content)


def test_the_initrd_holds_modules_in_their_order(tmp_path: Path) -> None:
    modules = tmp_path / "kernel/lib/modules/6.1"
    modules.mkdir(parents=True)
    for name in ("virtio", "virtio_ring", "unwanted"):
        (modules / f"{name}.ko").write_bytes(name.encode())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_bytes(b"busybox")
    write_initrd(tmp_path / "kernel", tmp_path, tmp_path / "initrd")
    archive = gzip.decompress((tmp_path / "initrd").read_bytes())
    assert archive.startswith(b"070701")
    assert b"virtio_ring\nvirtio\n" in archive
    assert b"unwanted" not in archive


def _build_slowly(images: Path) -> None:
    """Build with the long part replaced by a short one: what is tried is who builds."""

    def write(images: Path, recipe: Recipe, on_progress: object) -> None:
        with (images / "builds").open("a") as builds:
            builds.write("built\n")
        folder = images / recipe.key
        folder.mkdir()
        (folder / "about.json").write_text("{}")

    builder._build = write
    ensure_built(images)
