"""What becomes of a guest on a real host: restarts, shutdowns, lost daemons, half-done steps."""

import asyncio
import os
import signal
import time
from pathlib import Path

import libvirt
import msgspec
import pytest

from adapters.guest_image.builder import GuestImage
from adapters.libvirt.hypervisor import LibvirtHypervisor
from adapters.libvirt_host.host import EmbeddedHost
from domain.compute.ports import GuestSeen, HypervisorUnavailable
from domain.ids import VpsId
from tests.adapters.libvirt.conftest import Boot
from tests.guests import guest_spec, hypervisor_on, new_key_pair

pytestmark = [pytest.mark.anyio, pytest.mark.host]
GRACE_S = 30.0


async def seen(hypervisor: LibvirtHypervisor, vps_id: VpsId) -> GuestSeen:
    guests = (await hypervisor.observe()).guests
    return next(guest for guest in guests if guest.vps_id == vps_id)


async def test_a_guest_is_asked_to_shut_down_and_loses_nothing(hypervisor: LibvirtHypervisor, booted: Boot) -> None:
    guest = await booted()
    guest.login.run("echo kept >/root/not-synced")
    began = time.monotonic()
    await hypervisor.ensure_off(guest.spec.vps_id, grace_s=GRACE_S)
    assert time.monotonic() - began < GRACE_S, "it went by itself"
    later = msgspec.structs.replace(guest.spec, generation=2, host_key_private="")
    await hypervisor.ensure_prepared(later)
    await hypervisor.ensure_running(later)
    await asyncio.to_thread(guest.login.wait)
    assert guest.login.run("cat /root/not-synced").stdout == "kept\n"


async def test_a_restart_is_another_boot_within_the_same_start(hypervisor: LibvirtHypervisor, booted: Boot) -> None:
    guest = await booted()
    before = await seen(hypervisor, guest.spec.vps_id)
    guest.login.run("touch /run/until-reboot /root/for-ever")
    after = await hypervisor.ensure_rebooted(guest.spec.vps_id, grace_s=GRACE_S)
    await asyncio.to_thread(guest.login.wait)
    assert guest.login.run("ls /run/until-reboot /root/for-ever").stdout == "/root/for-ever\n"
    assert after.start_id == before.start_id
    assert after.cpu_ns >= before.cpu_ns


async def test_the_guests_own_reboot_is_no_new_start_and_its_poweroff_is_the_end(
    hypervisor: LibvirtHypervisor, booted: Boot
) -> None:
    guest = await booted()
    before = await seen(hypervisor, guest.spec.vps_id)
    guest.login.run("touch /run/until-reboot; reboot")
    await asyncio.sleep(1)
    for _ in range(100):
        await asyncio.to_thread(guest.login.wait)
        if guest.login.run("test -e /run/until-reboot").returncode == 1:
            break
        await asyncio.sleep(0.3)
    after = await seen(hypervisor, guest.spec.vps_id)
    assert (after.start_id, after.running) == (before.start_id, True)
    guest.login.run("poweroff")
    for _ in range(200):
        if not (await seen(hypervisor, guest.spec.vps_id)).running:
            break
        await asyncio.sleep(0.1)
    assert not (await seen(hypervisor, guest.spec.vps_id)).running


async def test_guests_outlive_their_daemon_and_are_taken_over_by_the_next(
    hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost, booted: Boot
) -> None:
    guest = await booted()
    before = await seen(hypervisor, guest.spec.vps_id)
    boots = guest.login.run("cat /proc/sys/kernel/random/boot_id").stdout
    os.kill(int((libvirt_host.socket.parent / "libvirtd.pid").read_text()), signal.SIGKILL)
    after = await seen(hypervisor, guest.spec.vps_id)
    assert (after.start_id, after.generation, after.running) == (before.start_id, 1, True)
    assert after.cpu_ns >= before.cpu_ns
    assert guest.login.run("cat /proc/sys/kernel/random/boot_id").stdout == boots
    assert (await hypervisor.ensure_running(guest.spec)).start_id == before.start_id
    await hypervisor.ensure_off(guest.spec.vps_id, grace_s=GRACE_S)
    assert not (await seen(hypervisor, guest.spec.vps_id)).running


async def test_without_anybody_to_revive_the_daemon_the_host_is_unavailable(tmp_path: Path) -> None:
    nowhere = EmbeddedHost(tmp_path, images=tmp_path)
    hypervisor = hypervisor_on(nowhere, GuestImage("none", "none", tmp_path), accelerated=False, revived=False)
    with pytest.raises(HypervisorUnavailable):
        await hypervisor.observe()
    await hypervisor.close()


async def test_a_start_by_hand_has_a_name_of_its_own(hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost) -> None:
    keys = new_key_pair()
    spec = guest_spec(keys, keys)
    await hypervisor.ensure_prepared(spec)
    names = [(await hypervisor.ensure_running(spec)).start_id]
    for _ in range(2):
        await hypervisor.ensure_off(spec.vps_id, grace_s=0)
        connection = libvirt.open(libvirt_host.uri)
        connection.lookupByUUIDString(str(spec.vps_id)).create()
        connection.close()
        names += [(await seen(hypervisor, spec.vps_id)).start_id for _ in range(2)]
    await hypervisor.ensure_removed(spec.vps_id)
    first, second, second_again, third, third_again = names
    assert second == second_again
    assert third == third_again
    assert len({first, second, third}) == 3


async def test_a_host_shows_and_keeps_what_is_not_ours_to_itself(
    hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost
) -> None:
    connection = libvirt.open(libvirt_host.uri)
    foreign = connection.defineXML(
        "<domain type='qemu'><name>foreign</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    )
    try:
        shown = await hypervisor.observe()
        assert foreign.UUIDString() not in {str(guest.vps_id) for guest in shown.guests}
    finally:
        foreign.undefine()
        connection.close()


async def test_a_removed_guest_leaves_no_file(
    hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost, booted: Boot
) -> None:
    guest = await booted(user_data="#!/bin/sh\ntrue\n")
    root = libvirt_host.socket.parent.parent
    mine = str(guest.spec.vps_id)
    assert [path for path in root.rglob("*") if mine in path.name], "there is something to remove"
    await hypervisor.ensure_removed(guest.spec.vps_id)
    assert [path for path in root.rglob("*") if mine in path.name] == []


async def test_a_prepared_disk_is_never_made_again(hypervisor: LibvirtHypervisor, libvirt_host: EmbeddedHost) -> None:
    keys = new_key_pair()
    spec = guest_spec(keys, keys)
    folder = libvirt_host.guests / str(spec.vps_id)
    folder.mkdir()
    (folder / "disk.qcow2.part").write_text("half a disk of a worker that died")
    await hypervisor.ensure_prepared(spec)
    first = (folder / "disk.qcow2").stat()
    await hypervisor.ensure_prepared(msgspec.structs.replace(spec, host_key_private="", disk_gb=9))
    assert (folder / "disk.qcow2").stat() == first
    assert sorted(path.name for path in folder.iterdir()) == ["disk.qcow2", "image", "ledger", "seed.iso"]
    (folder / "disk.qcow2").unlink()
    with pytest.raises(HypervisorUnavailable, match="missing"):
        await hypervisor.ensure_prepared(msgspec.structs.replace(spec, host_key_private=""))
    await hypervisor.ensure_removed(spec.vps_id)


async def test_an_image_the_host_does_not_have_is_no_guest(hypervisor: LibvirtHypervisor) -> None:
    keys = new_key_pair()
    with pytest.raises(HypervisorUnavailable, match="no image"):
        await hypervisor.ensure_prepared(guest_spec(keys, keys, image="plan-9"))
