"""A host that is gone takes nothing but its own VPSs with it, and nobody pays for what was not run there."""

import asyncio

import pytest

from adapters.simulated.faults import TOO_SLOW_S, SimulatedCrash
from api.application.fail_points import ALL_OF_HOSTS, armed
from api.application.metering import settle_account
from api.application.worker_context import WorkerContext
from api.workers.reconciler import Reconciler
from domain.compute.capacity import NoCapacity
from domain.compute.events import (
    HostLost,
    HostRebooted,
    HostReturned,
    VpsDeleted,
    VpsHostFound,
    VpsHostLost,
    VpsPlaced,
    VpsStopped,
)
from domain.compute.vps import Vps
from domain.ids import VpsId
from domain.time import seconds
from tests.api.compute_world import Life, World, Worlds, until

pytestmark = pytest.mark.anyio

LOST_AFTER_S = 180


async def _vps(worker: WorkerContext, vps_id: VpsId) -> Vps:
    vps = await worker.vps(vps_id)
    assert vps is not None
    return vps


async def _pass(world: World, reconciler: Reconciler, span_s: int) -> None:
    """Let time pass, with a look every 20 s, as the schedule has it."""
    for _ in range(span_s // 20):
        world.clock.advance(20)
        await reconciler.reconcile()


async def _one_on_each(world: World, worker: WorkerContext) -> tuple[VpsId, VpsId]:
    """Have a VPS run on each of two hosts; return first the one on the first."""
    first, second = await world.create(worker), await world.create(worker)
    await world.settled(worker, first, second)
    placed = [event.host_id for event in await world.events(VpsPlaced) if isinstance(event, VpsPlaced)]
    assert set(placed) == {host.host_id for host in world.hosts}
    return (first, second) if placed[0] == world.host.host_id else (second, first)


async def test_a_host_that_is_silent_for_long_is_lost_with_what_is_on_it_and_the_others_go_on(worlds: Worlds) -> None:
    world = await worlds(hosts=2)
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        gone, other = await _one_on_each(world, worker)
        await reconciler.reconcile()
        seen_at = world.clock.now()
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 400)
        await settle_account(worker.aggregates, world.account_id)

        assert (await _vps(worker, gone)).host_lost_at is not None
        assert (await _vps(worker, other)).host_lost_at is None
        assert len((await world.minutes(other))[0]) == 7
        assert await world.minutes(gone) == ([1], []), "only what is proven"
        (lost,) = await world.events(HostLost)
        assert isinstance(lost, HostLost)
        assert lost.since == seen_at + seconds(20), "when it was first asked in vain"
        assert len(await world.events(VpsHostLost)) == 1


async def test_a_host_that_is_silent_for_a_while_is_not_lost(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, _):
        reconciler = Reconciler(worker)
        await reconciler.reconcile()
        world.host.faults.unreachable = True
        await _pass(world, reconciler, LOST_AFTER_S)
        world.host.faults.unreachable = False
        await _pass(world, reconciler, 60)

    assert await world.events(HostLost, VpsHostLost) == []


async def test_what_ran_on_while_its_host_was_cut_off_is_adopted_and_paid_for(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 600)
        world.host.faults.unreachable = False
        await _pass(world, reconciler, 20)
        await settle_account(worker.aggregates, world.account_id)

        vps = await _vps(worker, vps_id)
        assert (vps.state, vps.host_lost_at, vps.generation) == ("running", None, 1)
        assert await world.minutes(vps_id) == (list(range(1, 12)), [])
        assert [type(event) for event in await world.events(VpsHostLost, VpsHostFound)] == [VpsHostLost, VpsHostFound]
        assert len(await world.events(HostReturned)) == 1


async def test_what_ended_with_its_host_is_recorded_off_and_pays_for_no_minute_that_is_not_proven(
    worlds: Worlds,
) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        await _pass(world, reconciler, 100)
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 600)
        world.host.reboot()
        world.host.faults.unreachable = False
        await _pass(world, reconciler, 20)
        await settle_account(worker.aggregates, world.account_id)

        vps = await _vps(worker, vps_id)
        assert (vps.state, vps.host_lost_at) == ("stopped", None)
        paid, waived = await world.minutes(vps_id)
        assert paid == [1, 2]
        assert waived == list(range(3, 13))
        (stopped,) = await world.events(VpsStopped)
        assert isinstance(stopped, VpsStopped)
        assert stopped.reason == "lost", "it did not go off by itself"
        assert len(await world.events(HostRebooted)) == 1


async def test_a_reboot_is_recorded_of_a_host_that_was_seen_before_it(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, _):
        reconciler = Reconciler(worker)
        await _pass(world, reconciler, 20)
        world.host.reboot()
        await _pass(world, reconciler, 60)

    (rebooted,) = await world.events(HostRebooted)
    assert isinstance(rebooted, HostRebooted)
    assert (rebooted.boot_id_before, rebooted.boot_id) == ("boot-1", "boot-2")


async def test_nothing_is_placed_or_started_on_a_host_that_is_lost(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 400)
        before = await world.store.head()

        with pytest.raises(NoCapacity):
            await world.create(worker)
        with pytest.raises(NoCapacity):
            await world.ask(worker, "start", vps_id)
        assert await world.store.head() == before
        assert await world.events(VpsHostLost) == [], "what is off needs nothing of its host"


async def test_what_is_deleted_while_its_host_is_lost_is_gone_for_its_owner_and_removed_once_it_is_back(
    worlds: Worlds,
) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 400)
        await world.ask(worker, "delete", vps_id)
        assert (await _vps(worker, vps_id)).gone
        world.host.faults.unreachable = False
        await _pass(world, reconciler, 20)
        world.clock.advance(60)
        await world.settled(worker, vps_id)

    assert len(await world.events(VpsDeleted)) == 1
    assert not world.host.guests


async def test_a_service_that_is_cut_off_from_a_host_does_not_take_it_to_be_gone_while_another_sees_it(
    worlds: Worlds,
) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, _):
        seeing, blind = Reconciler(worker), Reconciler(world.worker())
        for _ in range(20):
            world.clock.advance(20)
            await seeing.reconcile()
            world.host.faults.unreachable = True
            await blind.reconcile()
            world.host.faults.unreachable = False

    assert await world.events(HostLost, VpsHostLost) == []


async def test_an_answer_from_before_the_loss_brings_nothing_back(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        await _pass(world, reconciler, 20)
        world.host.faults.unreachable = True
        await _pass(world, reconciler, 400)
        world.host.freeze_view()
        world.host.faults.unreachable = False
        await _pass(world, reconciler, 20)

        assert (await _vps(worker, vps_id)).host_lost_at is not None
        assert await world.events(HostReturned, VpsHostFound) == []


@pytest.mark.parametrize("point", ALL_OF_HOSTS)
async def test_a_service_that_dies_while_it_records_a_loss_or_a_return_leaves_nothing_half_done(
    worlds: Worlds, point: str
) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        second = await world.create(worker)
        await world.settled(worker, vps_id, second)
    life = Life()
    dying = world.worker(life)
    world.host.faults.unreachable = point.startswith("lose")
    if not world.host.faults.unreachable:
        await _lost_and_back(world)
    with armed(point, life.crash), pytest.raises(SimulatedCrash):
        await _pass(world, Reconciler(dying), 400)
    reconciler = Reconciler(world.worker())
    await _pass(world, reconciler, 400)

    lost = world.host.faults.unreachable
    for vps_id_now in (vps_id, second):
        assert ((await _vps(worker, vps_id_now)).host_lost_at is not None) is lost
    assert len(await world.events(HostLost)) == 1
    assert len(await world.events(VpsHostLost)) == 2
    assert len(await world.events(VpsHostFound)) == (0 if lost else 2)


async def _lost_and_back(world: World) -> None:
    world.host.faults.unreachable = True
    await _pass(world, Reconciler(world.worker()), 400)
    world.host.faults.unreachable = False


async def test_a_host_that_hangs_keeps_no_look_at_another_waiting_and_is_asked_once_at_a_time(
    worlds: Worlds,
) -> None:
    world = await worlds(hosts=2)
    worker = await world.founded()
    reconciler = Reconciler(worker, look_s=0.05)
    async with world.working(worker):
        hung, other = await _one_on_each(world, worker)
        world.host.faults.slow_down("observe")
        async with asyncio.timeout(TOO_SLOW_S / 180):
            await _pass(world, reconciler, 400)
        await settle_account(worker.aggregates, world.account_id)

        assert len((await world.minutes(other))[0]) == 7
        assert (await _vps(worker, hung)).host_lost_at is not None
        looks = [task for task in asyncio.all_tasks() if "_reconcile_host" in repr(task.get_coro())]
        assert len(looks) == 1
        looks[0].cancel()


async def test_steps_that_hang_on_one_host_leave_their_slots_to_another(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.workers.steps.runner.PERMIT_KEPT_S", 0.05)
    world = await worlds(hosts=2)
    worker = await world.founded(10_000_000)
    world.host.faults.slow_down("ensure_prepared")
    async with world.working(worker):
        vps_ids = [await world.create(worker) for _ in range(16)]
        vpss = [await _vps(worker, vps_id) for vps_id in vps_ids]
        on_other = [vps.vps_id for vps in vpss if vps.host_id != world.host.host_id]
        assert 0 < len(on_other) < 16
        other = world.hosts[1]
        await until(lambda: sum(guest.running for guest in other.guests.values()) == len(on_other))
