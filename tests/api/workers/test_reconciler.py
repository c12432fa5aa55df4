"""Hosts are compared with the ledger: what differs is recorded, mended, and never billed."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from adapters.simulated.hypervisor import SimulatedHypervisor
from api.application.metering import settle_account
from api.application.repository import CommandResult
from api.application.worker_context import WorkerContext, spec_of
from api.workers.reconciler import ORPHAN_GRACE_S, Reconciler
from domain.compute.events import HostDiffered, HostObserved, VpsStopped
from domain.compute.ports import GuestSpec
from domain.deciding import AggregateRef
from domain.ids import VpsId, vps_stream
from tests.api.compute_world import IDS, World, Worlds

pytestmark = pytest.mark.anyio

UNKNOWN = GuestSpec(
    vps_id=VpsId(IDS.new()),
    generation=1,
    hostname="nobody",
    vcpu=1,
    memory_mb=128,
    disk_gb=1,
    image="lite",
    ssh_port=9999,
    authorized_keys=(),
    host_key_private="its-key",
)


async def test_an_observation_proves_the_minutes_up_to_it(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
    world.clock.advance(185)

    await Reconciler(worker).reconcile()
    await settle_account(worker.aggregates, world.account_id)

    assert await world.minutes(vps_id) == ([1, 2, 3, 4], [])


async def test_an_empty_host_is_not_recorded_again_and_again(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()

    await Reconciler(worker).reconcile()

    assert await world.events(HostObserved) == []


async def test_a_guest_that_went_off_by_itself_is_stopped_and_unproven_minutes_are_waived(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
        world.clock.advance(70)
        await reconciler.reconcile()
        world.host.crash_guest(vps_id)
        world.clock.advance(120)

        await reconciler.reconcile()
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.power) == ("stopped", "off")
    (differed,) = await world.events(HostDiffered)
    assert isinstance(differed, HostDiffered)
    assert (differed.difference, differed.action) == ("off", "recorded-off")
    assert await world.minutes(vps_id) == ([1, 2], [3, 4])


async def test_a_guest_that_the_host_has_halted_is_recorded_off_and_put_off(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.clock.advance(30)
        world.host.halt_guest(vps_id)

        await Reconciler(worker).reconcile()
        (vps,) = await world.settled(worker, vps_id)

    assert vps.state == "stopped"
    assert not world.host.guests[vps_id].running


async def test_a_guest_that_was_recorded_off_just_before_a_crash_is_put_off_at_the_next_look(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.clock.advance(30)
        world.host.halt_guest(vps_id)
        world.host.faults.fail_next("ensure_off")
        await Reconciler(worker).reconcile()
        assert world.host.guests[vps_id].running
        world.clock.advance(20)

        await Reconciler(worker).reconcile()

    assert not world.host.guests[vps_id].running


async def test_after_a_restart_of_the_host_its_guests_are_stopped(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.clock.advance(30)
        world.host.reboot()

        await Reconciler(worker).reconcile()
        (vps,) = await world.settled(worker, vps_id)
        await world.ask(worker, "start", vps_id)
        (again,) = await world.settled(worker, vps_id)

    assert vps.state == "stopped"
    assert (again.state, again.generation) == ("running", 2)


async def test_a_guest_of_another_start_is_put_off_and_its_vps_stopped(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        vps_id = await world.create(worker)
        (vps,) = await world.settled(worker, vps_id)
        world.clock.advance(30)
        world.host.reboot()
        await SimulatedHypervisor(world.host).ensure_running(spec_of(vps, worker.service_key))

        await reconciler.reconcile()
        world.clock.advance(1)
        await reconciler.reconcile()

    (stopped,) = await world.events(VpsStopped)
    assert isinstance(stopped, VpsStopped)
    assert stopped.reason == "lost"
    assert not world.host.guests[vps_id].running


async def test_a_guest_of_a_deleted_vps_is_removed_only_after_the_grace(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
        spec = world.host.guests[vps_id].spec
        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)
    world.host.add_orphan(spec)

    await reconciler.reconcile()
    world.clock.advance(ORPHAN_GRACE_S - 1)
    await reconciler.reconcile()
    assert vps_id in world.host.guests

    world.clock.advance(1)
    await reconciler.reconcile()
    assert world.host.guests == {}
    (differed,) = await world.events(HostDiffered)
    assert isinstance(differed, HostDiffered)
    assert (differed.vps_id, differed.difference, differed.action) == (vps_id, "orphan", "removed")


async def test_a_guest_that_the_ledger_never_heard_of_is_left_alone_and_recorded_once(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    world.host.add_orphan(UNKNOWN)

    for reconciler in (Reconciler(worker), Reconciler(world.worker())):
        for _ in range(2):
            await reconciler.reconcile()
            world.clock.advance(ORPHAN_GRACE_S + 1)

    assert world.host.guests[UNKNOWN.vps_id].running
    (differed,) = await world.events(HostDiffered)
    assert isinstance(differed, HostDiffered)
    assert (differed.vps_id, differed.difference, differed.action) == (UNKNOWN.vps_id, "orphan", "none")


async def test_a_guest_on_a_host_that_is_not_its_place_is_left_alone(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    vps_id = await world.create_unplaced(worker)
    world.host.add_orphan(msgspec.structs.replace(UNKNOWN, vps_id=vps_id))
    reconciler = Reconciler(worker)

    await reconciler.reconcile()
    world.clock.advance(ORPHAN_GRACE_S + 1)
    await reconciler.reconcile()

    assert world.host.guests[vps_id].running
    (differed,) = await world.events(HostDiffered)
    assert isinstance(differed, HostDiffered)
    assert (differed.vps_id, differed.difference, differed.action) == (vps_id, "duplicate", "none")


async def test_a_host_that_does_not_answer_has_nothing_freed(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
    world.host.faults.unreachable = True

    await Reconciler(worker).reconcile()

    vps = await worker.vps(vps_id)
    assert vps is not None
    assert vps.state == "running"


async def test_a_guest_with_which_its_host_can_do_nothing_keeps_no_other_waiting(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        stuck, off = await world.create(worker), await world.create(worker, name="other")
        await world.settled(worker, stuck, off)
        world.clock.advance(30)
        world.host.halt_guest(stuck)
        world.host.crash_guest(off)
        world.host.faults.fail_next("ensure_off", times=100)

        for _ in range(3):
            await reconciler.reconcile()
            world.clock.advance(20)

    assert [vps.state for vps in await world.settled(worker, stuck, off)] == ["stopped", "stopped"]
    reserved = (await world.reserved()).by_vps
    assert (reserved[stuck].on, reserved[off].on) == (True, False)


async def test_a_vps_of_which_nobody_can_read_anything_keeps_no_other_from_being_looked_at(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_ids = sorted([await world.create(worker) for _ in range(3)])
        await world.settled(worker, *vps_ids)
    for vps_id in vps_ids:
        world.host.crash_guest(vps_id)
    world.clock.advance(1)
    world.store.poisoned = {vps_stream(vps_ids[0])}

    with capture_logs() as logs:
        await Reconciler(world.worker()).reconcile()

    assert await differing(world) == vps_ids[1:]
    assert {one["key"] for one in logs if one["event"] == "left out, since it cannot be read"} == {str(vps_ids[0])}


async def test_whatever_happens_at_one_guest_the_others_are_mended(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_ids = sorted([await world.create(worker) for _ in range(3)])
        await world.settled(worker, *vps_ids)
    for vps_id in vps_ids:
        world.host.crash_guest(vps_id)
    world.clock.advance(1)
    was = WorkerContext.record

    async def poisoned(self: WorkerContext, refs: Sequence[AggregateRef[Any]], *more: Any) -> CommandResult[None]:
        if vps_stream(vps_ids[0]) in {ref.stream for ref in refs}:
            raise ValueError("a state that nobody foresaw")
        return await was(self, refs, *more)

    monkeypatch.setattr(WorkerContext, "record", poisoned)
    with capture_logs():
        await Reconciler(worker).reconcile()

    assert await differing(world) == vps_ids[1:]


async def differing(world: World) -> list[UUID]:
    """Return of which VPSs it was recorded that they are not as they should be."""
    return sorted(one.vps_id for one in await world.events(HostDiffered) if isinstance(one, HostDiffered))
