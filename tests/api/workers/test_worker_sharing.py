"""VPSs share workers, slots and hosts, and none is in another's way."""

import asyncio
from typing import Any

import msgspec
import pytest

from api.workers.provisioning import BOOTING_MAX, ENDING_MAX
from domain.compute.events import VpsFailed, VpsRunning
from domain.compute.ports import HostObservation, Hypervisor
from domain.ids import VpsId
from tests.api.compute_world import Worlds, until
from tests.steps import change_steps

pytestmark = pytest.mark.anyio


async def test_guests_that_never_answer_do_not_keep_others_from_booting(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.workers.steps.runner.PERMIT_KEPT_S", 0.05)
    world = await worlds(boot_s=3600)
    worker = await world.founded()
    async with world.working(worker):
        silent = [await world.create(worker, name=f"silent-{k}") for k in range(BOOTING_MAX)]
        for vps_id in silent:
            await until(lambda: vps_id in world.host.guests and world.host.guests[vps_id].running)  # noqa: B023
        world.host.boot_us = 0

        vps_id = await world.create(worker)
        (vps,) = await world.settled(worker, vps_id)

        assert vps.state == "running"
        assert {(await worker.vps(one)).state for one in silent} == {"creating"}  # type: ignore[union-attr]
        world.clock.advance(3600)
        assert {one.state for one in await world.settled(worker, *silent)} == {"running"}


class Deaf:
    """A host whose guests ignore their power button for as long as they may."""

    def __init__(self, inner: Hypervisor, deaf: set[VpsId]) -> None:
        self._inner = inner
        self._deaf = deaf
        self.pressed: set[VpsId] = set()
        self.grace_over = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def ensure_off(self, vps_id: VpsId, *, grace_s: float) -> HostObservation:
        if vps_id in self._deaf:
            self.pressed.add(vps_id)
            await self.grace_over.wait()
        return await self._inner.ensure_off(vps_id, grace_s=grace_s)


async def test_guests_that_ignore_their_power_button_do_not_keep_others_on(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.workers.steps.ending.HALT_PERMIT_KEPT_S", 0.05)
    world = await worlds()
    worker = await world.founded()
    deaf_ids: set[VpsId] = set()
    host = Deaf(worker.hypervisors[world.host.host_id], deaf_ids)
    worker = msgspec.structs.replace(worker, hypervisors={world.host.host_id: host})
    async with world.working(worker):
        vps_id = await world.create(worker)
        deaf_ids |= {await world.create(worker, name=f"deaf-{k}") for k in range(ENDING_MAX)}
        await world.settled(worker, vps_id, *deaf_ids)
        for one in deaf_ids:
            await world.ask(worker, "stop", one)
        await until(lambda: host.pressed == deaf_ids)

        await world.ask(worker, "stop", vps_id)
        (vps,) = await world.settled(worker, vps_id)
        assert vps.power == "off"
        host.grace_over.set()
        assert {one.power for one in await world.settled(worker, *deaf_ids)} == {"off"}


async def test_two_workers_share_the_work_and_do_nothing_twice(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    other = world.worker()
    async with world.working(worker), world.working(other):
        vps_ids = [await world.create(worker, name=f"web-{k}") for k in range(12)]
        vpss = await world.settled(worker, *vps_ids)

    assert {vps.state for vps in vpss} == {"running"}
    assert len({vps.ssh_port for vps in vpss}) == 12
    assert len(await world.events(VpsRunning)) == 12
    assert all(guest.boots == 1 for guest in world.host.guests.values())


@pytest.mark.parametrize("asked", ["stop", "create"])
async def test_a_worker_leaves_a_vps_alone_whose_host_it_does_not_drive(
    worlds: Worlds, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, deadline_s=0.0)
    world = await worlds()
    worker = await world.founded()
    stranger = msgspec.structs.replace(world.worker(), hypervisors={})
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)

    async with world.working(stranger) as running:
        if asked == "stop":
            await world.ask(worker, "stop", vps_id)
        else:
            vps_id = await world.create(worker)
        await asyncio.sleep(0.1)
        await running.idle()

    assert not await world.leased("vps", vps_id)
    assert await world.events(VpsFailed) == []


async def test_vpss_that_are_placed_at_once_do_not_count_on_the_same_room(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, "place", deadline_s=0.05)
    world = await worlds(memory_mb=512)
    worker = await world.founded()
    vps_ids = [await world.create_unplaced(worker) for _ in range(BOOTING_MAX)]
    async with world.working(worker):
        vpss = await world.settled(worker, *vps_ids)

    assert sorted(vps.state for vps in vpss) == ["error", "error", "running", "running"]
