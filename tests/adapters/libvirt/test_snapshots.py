"""Snapshots of a real guest's disk: what was on it comes back, and what only they kept is free again."""

import asyncio
from pathlib import Path
from uuid import UUID

import libvirt
import msgspec
import pytest
from uuid_utils.compat import uuid7

from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from domain.ids import SnapshotId
from tests.adapters.libvirt.conftest import Boot

pytestmark = [pytest.mark.anyio, pytest.mark.host]
MIB = 1024 * 1024


async def test_a_restored_disk_has_the_old_bytes_again(hypervisor: LibvirtHypervisor, booted: Boot) -> None:
    guest = await booted()
    vps_id, live, still = guest.spec.vps_id, new_snapshot(), new_snapshot()
    guest.login.run("echo first >/root/word; sync")
    await hypervisor.ensure_snapshot(vps_id, live)
    assert guest.login.run("echo second >/root/word; sync; cat /root/word").stdout == "second\n", "it runs on"
    await hypervisor.ensure_off(vps_id, grace_s=0)
    await hypervisor.ensure_snapshot(vps_id, still)

    words = []
    for generation, snapshot_id in enumerate((live, still), start=2):
        await hypervisor.ensure_restored(vps_id, snapshot_id, generation=generation - 1)
        await hypervisor.ensure_running(msgspec.structs.replace(guest.spec, generation=generation))
        await asyncio.to_thread(guest.login.wait)
        words.append(guest.login.run("cat /root/word").stdout.strip())

    assert words == ["first", "second"]


async def test_what_only_a_snapshot_kept_is_free_for_other_guests_once_it_is_removed(
    hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost, booted: Boot
) -> None:
    guest = await booted()
    vps_id, live, still = guest.spec.vps_id, new_snapshot(), new_snapshot()
    disk = libvirt_host.guests / str(vps_id) / "disk.qcow2"
    write = "head -c 30000000 /dev/urandom >/root/large; sync"
    guest.login.run(write)
    before = held(disk)
    await hypervisor.ensure_snapshot(vps_id, live)
    guest.login.run("dd if=/dev/urandom of=/root/large bs=1M count=28 conv=notrunc; sync")
    assert held(disk) > before + 25 * MIB, "a snapshot does keep what was overwritten"
    await hypervisor.ensure_snapshot_removed(vps_id, live)
    after_live = held(disk)

    await hypervisor.ensure_snapshot(vps_id, still)
    guest.login.run("dd if=/dev/urandom of=/root/large bs=1M count=28 conv=notrunc; sync")
    await hypervisor.ensure_off(vps_id, grace_s=0)
    await hypervisor.ensure_snapshot_removed(vps_id, still)

    assert after_live < before + 5 * MIB
    assert held(disk) < before + 5 * MIB


async def test_one_that_was_taken_and_not_noted_since_its_host_died_is_not_there_twice(
    hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost, booted: Boot
) -> None:
    guest = await booted()
    vps_id, snapshot_id = guest.spec.vps_id, new_snapshot()
    await hypervisor.ensure_snapshot(vps_id, snapshot_id)
    forget(libvirt_host.uri, guest.spec.vps_id, snapshot_id)
    await hypervisor.ensure_snapshot(vps_id, snapshot_id)
    assert await hypervisor.list_snapshots(vps_id) == {snapshot_id}
    forget(libvirt_host.uri, guest.spec.vps_id, snapshot_id)
    await hypervisor.ensure_off(vps_id, grace_s=0)
    await hypervisor.ensure_snapshot(vps_id, snapshot_id)
    await hypervisor.ensure_snapshot_removed(vps_id, snapshot_id)
    disk = libvirt_host.guests / str(vps_id) / "disk.qcow2"
    assert str(snapshot_id).encode() not in await snapshots_in(disk)


def forget(uri: str, vps_id: UUID, snapshot_id: SnapshotId) -> None:
    """Have libvirt know nothing of a snapshot that the disk has."""
    connection = libvirt.open(uri)
    try:
        noted = connection.lookupByUUIDString(str(vps_id)).snapshotLookupByName(str(snapshot_id))
        noted.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)
    finally:
        connection.close()


async def snapshots_in(disk: Path) -> bytes:
    """Return what QEMU's own tool tells of a disk; its image is not looked at, which has another name out here."""
    alone = f'json:{{"driver":"qcow2","backing":null,"file":{{"driver":"file","filename":"{disk}"}}}}'
    asked = await asyncio.create_subprocess_exec("qemu-img", "info", alone, stdout=asyncio.subprocess.PIPE)
    told, _ = await asked.communicate()
    assert b"qcow2" in told
    return told


def held(disk: Path) -> int:
    """Return how many bytes of its host a disk takes."""
    return disk.stat().st_blocks * 512


def new_snapshot() -> SnapshotId:
    return SnapshotId(UUID(str(uuid7())))
