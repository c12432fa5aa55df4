"""The files of guests on a host elsewhere are brought there whole, once, and never over what a guest has written."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath
from uuid import UUID

import msgspec
import pytest

from adapters.libvirt.remote_files import RemoteHostFiles
from adapters.ssh.machine import SshMachine
from domain.compute.ports import GuestSpec, HypervisorUnavailable
from domain.ids import LedgerId
from tests.adapters.ssh.test_machine import login_of
from tests.guests import guest_spec, new_key_pair
from tests.ssh_machines import SshServer, running_ssh_server

pytestmark = pytest.mark.anyio

LEDGER, ANOTHER = LedgerId(UUID(int=1)), LedgerId(UUID(int=2))
KEY = "debian-12-lite-0"


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with running_ssh_server() as running:
        yield running


@pytest.fixture
async def machine(server: SshServer) -> AsyncIterator[SshMachine]:
    machine = SshMachine(login_of(server))
    yield machine
    await machine.close()


@pytest.fixture
def our_images(tmp_path: Path) -> Path:
    image = tmp_path / "images" / KEY
    image.mkdir(parents=True)
    for name in ("disk.qcow2", "kernel", "initrd", ".about.part"):
        (image / name).write_text(name)
    return image.parent


@pytest.fixture
def there(tmp_path: Path) -> Path:
    return tmp_path / "there"


@pytest.fixture
def files(machine: SshMachine, there: Path, our_images: Path) -> RemoteHostFiles:
    return RemoteHostFiles(machine, PurePosixPath(there), our_images, {"debian-12-lite": KEY}, LEDGER)


@pytest.fixture
def spec() -> GuestSpec:
    keys = new_key_pair()
    return guest_spec(keys, keys)


async def test_a_guest_is_prepared_with_its_image_and_found_again(
    files: RemoteHostFiles, there: Path, spec: GuestSpec
) -> None:
    assert await asyncio.to_thread(files.boot_files, spec.vps_id) is None
    await asyncio.to_thread(files.ensure_guest, spec)

    assert sorted(path.name for path in (there / "images" / KEY).iterdir()) == ["disk.qcow2", "initrd", "kernel"]
    folder = there / "guests" / str(spec.vps_id)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("disk.qcow2", "image", "ledger", "seed.iso"), 0o600
    )
    assert f"{there}/images/{KEY}/disk.qcow2".encode() in (folder / "disk.qcow2").read_bytes(), "the file it lies upon"
    found = await asyncio.to_thread(files.boot_files, spec.vps_id)
    assert found is not None
    assert found.kernel == PurePosixPath(there) / "images" / KEY / "kernel"
    assert await asyncio.to_thread(files.guests) == [spec.vps_id]


async def test_a_disk_that_is_there_is_never_touched_again(
    files: RemoteHostFiles, there: Path, spec: GuestSpec
) -> None:
    await asyncio.to_thread(files.ensure_guest, spec)
    disk = there / "guests" / str(spec.vps_id) / "disk.qcow2"
    disk.write_text("what the guest wrote")

    await asyncio.gather(*(asyncio.to_thread(files.ensure_guest, spec) for _ in range(3)))

    assert disk.read_text() == "what the guest wrote"


async def test_what_was_broken_off_anywhere_is_finished(files: RemoteHostFiles, there: Path, spec: GuestSpec) -> None:
    await asyncio.to_thread(files.ensure_guest, spec)
    for names in (("disk.qcow2",), ("disk.qcow2", "seed.iso"), ("disk.qcow2", "seed.iso", "image", "ledger")):
        for name in names:
            (there / "guests" / str(spec.vps_id) / name).unlink()
        (there / "guests" / str(spec.vps_id) / ".disk.qcow2.dead.part").write_text("half")
        await asyncio.to_thread(files.ensure_guest, spec)
        assert await asyncio.to_thread(files.boot_files, spec.vps_id) is not None


async def test_a_guest_of_another_ledger_is_not_ours(
    files: RemoteHostFiles, machine: SshMachine, there: Path, our_images: Path, spec: GuestSpec
) -> None:
    others = RemoteHostFiles(machine, PurePosixPath(there), our_images, {"debian-12-lite": KEY}, ANOTHER)
    await asyncio.to_thread(others.ensure_guest, spec)

    assert await asyncio.to_thread(files.guests) == []
    assert await asyncio.to_thread(others.guests) == [spec.vps_id]


async def test_nothing_is_left_of_a_guest_that_is_removed_twice(
    files: RemoteHostFiles, there: Path, spec: GuestSpec
) -> None:
    await asyncio.to_thread(files.ensure_guest, spec)
    for _ in range(2):
        await asyncio.to_thread(files.ensure_no_guest, spec.vps_id)

    assert list((there / "guests").iterdir()) == []
    assert await asyncio.to_thread(files.guests) == []


@pytest.mark.parametrize("changed", [{"image": "windows"}, {"host_key_private": ""}])
async def test_a_guest_without_an_image_or_one_whose_disk_was_lost_is_not_made_anew(
    files: RemoteHostFiles, there: Path, spec: GuestSpec, changed: dict[str, str]
) -> None:
    with pytest.raises(HypervisorUnavailable):
        await asyncio.to_thread(files.ensure_guest, msgspec.structs.replace(spec, **changed))

    assert "there" not in [path.name for path in there.parent.iterdir()]


async def test_what_is_left_of_an_image_that_was_given_up_is_gone_but_not_what_somebody_still_brings(
    files: RemoteHostFiles, there: Path, spec: GuestSpec
) -> None:
    image = there / "images" / KEY
    image.mkdir(parents=True)
    long_ago = time.time() - 3600
    for name, brought_at in ((".disk.qcow2.0.part", long_ago), (".disk.qcow2.1.part", time.time())):
        (image / name).write_text("half of it")
        os.utime(image / name, (brought_at, brought_at))

    await asyncio.to_thread(files.ensure_guest, spec)

    left = {"disk.qcow2", "initrd", "kernel", ".disk.qcow2.1.part"}
    assert {path.name for path in image.iterdir()} == left


async def test_an_image_that_nobody_has_here_is_told_to_be_missing(files: RemoteHostFiles, spec: GuestSpec) -> None:
    with pytest.raises(HypervisorUnavailable):
        await asyncio.to_thread(files.ensure_guest, msgspec.structs.replace(spec, image_key="gone"))
