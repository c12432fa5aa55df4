"""What is off holds no memory, no processors and no port of its host, and what is on never more than there is."""

import asyncio

import msgspec
import pytest
from structlog.testing import capture_logs

from api.application.capacity import ensure_registered
from api.application.repository import Loaded
from api.application.worker_context import WorkerContext
from api.workers.reconciler import ORPHAN_GRACE_S, Reconciler
from domain.compute import capacity
from domain.compute.capacity import NoCapacity, capacity_ref
from domain.compute.events import CapacityReleased, CapacityReserved, HostDrained, HostJoined, VpsPlaced
from domain.deciding import Decision, recorded_in
from domain.ids import VpsId, vps_stream
from domain.ports import Append, NewEvent
from domain.time import Instant
from tests.api.compute_world import World, Worlds
from tests.api.poisoned import PoisonedStore
from tests.storage import OpenStorage

pytestmark = pytest.mark.anyio

ONE = {"memory_mb": 256, "vcpu": 1, "ports": 1}
"""A host on which one VPS can be on; ``host_cpu_percent`` is four times that."""


async def _on(world: World, worker: WorkerContext) -> VpsId:
    vps_id = await world.create(worker)
    (vps,) = await world.settled(worker, vps_id)
    assert vps.state == "running"
    return vps_id


async def _off(world: World, worker: WorkerContext, vps_id: VpsId) -> None:
    await world.ask(worker, "stop", vps_id)
    (vps,) = await world.settled(worker, vps_id)
    assert vps.state == "stopped"


async def test_what_is_off_holds_no_memory_and_no_port(worlds: Worlds) -> None:
    world = await worlds(**ONE)
    worker = await world.founded()
    async with world.working(worker):
        for _ in range(5):
            await _off(world, worker, await _on(world, worker))

    reserved = await world.reserved()
    assert (reserved.memory_mb, reserved.vcpu, reserved.ports) == (0, 0, {})
    assert reserved.disk_gb == 25


@pytest.mark.parametrize("lacking", [{"memory_mb": 511}, {"ports": 1}, {"vcpu": 1}, {"disk_gb": 9}])
async def test_what_no_host_has_room_for_is_refused_and_nothing_is_recorded(
    worlds: Worlds, lacking: dict[str, int]
) -> None:
    world = await worlds(**lacking)
    worker = await world.founded()
    for _ in range(4 if "vcpu" in lacking else 1):
        await world.create(worker)
    before = await world.store.head()

    with pytest.raises(NoCapacity):
        await world.create(worker)

    assert await world.store.head() == before


async def test_a_start_with_no_room_is_refused_and_succeeds_once_there_is_some(worlds: Worlds) -> None:
    world = await worlds(**ONE)
    worker = await world.founded()
    async with world.working(worker):
        first = await _on(world, worker)
        await _off(world, worker, first)
        second = await _on(world, worker)
        before = await world.wallet()
        with pytest.raises(NoCapacity):
            await world.ask(worker, "start", first)
        assert await world.wallet() == before

        await _off(world, worker, second)
        await world.ask(worker, "start", first)
        (vps,) = await world.settled(worker, first)

    assert vps.state == "running"


async def test_a_restart_keeps_what_it_holds(worlds: Worlds) -> None:
    world = await worlds(**ONE)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await _on(world, worker)
        await world.ask(worker, "restart", vps_id)
        await world.settled(worker, vps_id)

    assert await world.events(CapacityReleased) == []


async def test_memory_is_free_when_the_host_shows_it_off_and_not_when_the_stop_is_accepted(worlds: Worlds) -> None:
    world = await worlds(**ONE)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await _on(world, worker)
    await world.ask(worker, "stop", vps_id)

    with pytest.raises(NoCapacity):
        await world.create(worker)
    async with world.working(worker):
        await world.settled(worker, vps_id)
        await _on(world, worker)


async def test_a_hundred_creates_at_once_on_room_for_ten_of_two_processes_make_ten(worlds: Worlds) -> None:
    world = await worlds(memory_mb=2_560)
    one, other = await world.founded(10_000_000), world.worker()
    creates = [world.create((one, other)[k % 2]) for k in range(100)]

    results = await asyncio.gather(*creates, return_exceptions=True)

    assert sum(isinstance(result, NoCapacity) for result in results) == 90
    reserved = await world.reserved()
    assert (reserved.memory_mb, len(reserved.ports)) == (2_560, 10)
    assert len(list((await world.wallet()).meters_on())) == 10


async def test_of_creates_at_once_with_a_drain_none_is_placed_after_it(worlds: Worlds) -> None:
    world = await worlds()
    one, other = await world.founded(10_000_000), world.worker()
    reserved = capacity_ref(world.host.host_id)

    async def drain() -> None:
        await asyncio.sleep(0)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            return recorded_in(reserved.stream, *capacity.drain(loaded.of(reserved), world.host.host_id, now))

        await other.aggregates.execute([reserved], decide, world.context("drain"))

    asked = (world.create(one) for _ in range(20))
    results = await asyncio.gather(*asked, drain(), *(world.create(other) for _ in range(20)), return_exceptions=True)

    kinds = [type(event) for event in await world.events(CapacityReserved, HostDrained)]
    assert kinds[-1] is HostDrained
    assert sum(isinstance(result, NoCapacity) for result in results) == 41 - len(kinds)


async def test_a_vps_has_its_port_again_unless_somebody_else_has_it(worlds: Worlds) -> None:
    world = await worlds(ports=2)
    worker = await world.founded()
    async with world.working(worker):
        first = await _on(world, worker)
        (before,) = await world.settled(worker, first)
        await _off(world, worker, first)
        await world.ask(worker, "start", first)
        (same,) = await world.settled(worker, first)
        assert same.ssh_port == before.ssh_port
        assert len(await world.events(VpsPlaced)) == 1

        await _off(world, worker, first)
        second, third = await _on(world, worker), await _on(world, worker)
        await _off(world, worker, second if (await _port(worker, third)) == before.ssh_port else third)
        await world.ask(worker, "start", first)
        (moved,) = await world.settled(worker, first)

    assert moved.state == "running"
    assert moved.ssh_port != before.ssh_port
    assert world.host.guests[first].spec.ssh_port == moved.ssh_port


async def _port(worker: WorkerContext, vps_id: VpsId) -> int | None:
    vps = await worker.vps(vps_id)
    assert vps is not None
    return vps.ssh_port


async def test_a_deleted_vps_holds_its_disk_until_nothing_is_left_of_it(worlds: Worlds) -> None:
    world = await worlds(disk_gb=5)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await _on(world, worker)
    await world.ask(worker, "delete", vps_id)
    with pytest.raises(NoCapacity):
        await world.create(worker)

    async with world.working(worker):
        await world.settled(worker, vps_id)
        await _on(world, worker)


async def test_a_guest_shown_off_is_released_at_once_and_one_that_is_only_absent_after_the_grace(
    worlds: Worlds,
) -> None:
    world = await worlds(memory_mb=512)
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        crashed, lost = await _on(world, worker), await _on(world, worker)
        world.clock.advance(10)
        world.host.crash_guest(crashed)
        del world.host.guests[lost]
        await reconciler.reconcile()
        await world.settled(worker, crashed, lost)

    assert (await world.reserved()).memory_mb == 256, "nothing is freed on absence alone"
    world.clock.advance(ORPHAN_GRACE_S - 1)
    await reconciler.reconcile()
    assert (await world.reserved()).memory_mb == 256
    world.clock.advance(2)
    await reconciler.reconcile()
    assert (await world.reserved()).memory_mb == 0


async def test_a_guest_that_was_absent_and_is_on_after_all_is_put_off_before_anything_is_free(worlds: Worlds) -> None:
    world = await worlds(memory_mb=256)
    worker = await world.founded()
    reconciler = Reconciler(worker)
    async with world.working(worker):
        vps_id = await _on(world, worker)
        world.clock.advance(10)
        guest = world.host.guests.pop(vps_id)
        await reconciler.reconcile()
        await world.settled(worker, vps_id)
    world.host.guests[vps_id] = guest
    world.clock.advance(ORPHAN_GRACE_S + 1)

    await reconciler.reconcile()

    assert not guest.running
    assert (await world.reserved()).memory_mb == 256
    world.clock.advance(1)
    await reconciler.reconcile()
    assert (await world.reserved()).memory_mb == 0


async def test_a_start_beside_a_late_release_keeps_what_it_holds(worlds: Worlds) -> None:
    world = await worlds(memory_mb=256)
    worker = await world.founded()
    reconciler = Reconciler(worker, orphan_grace_s=0)
    async with world.working(worker):
        vps_id = await _on(world, worker)
        world.clock.advance(10)
        del world.host.guests[vps_id]
        looks = asyncio.gather(*(reconciler.reconcile() for _ in range(3)))
        while await _power(worker, vps_id) != "off":  # noqa: ASYNC110
            await asyncio.sleep(0)
        await world.ask(worker, "start", vps_id)
        await looks
        await reconciler.reconcile()

        assert (await world.reserved()).memory_mb == 256


async def _power(worker: WorkerContext, vps_id: VpsId) -> str:
    vps = await worker.vps(vps_id)
    assert vps is not None
    return vps.power


async def test_vpss_placed_before_hosts_had_reservations_hold_what_they_have(
    worlds: Worlds, open_storage: OpenStorage
) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        on, off, gone = [await _on(world, worker) for _ in range(3)]
        await _off(world, worker, off)
        await world.ask(worker, "delete", gone)
        await world.settled(worker, gone)
    await _forget_reservations(world, open_storage)
    old = world.worker()

    await ensure_registered(old, msgspec.structs.replace(world.registered, memory_mb=511))

    reserved = await world.reserved()
    assert (reserved.memory_mb, reserved.disk_gb, set(reserved.by_vps)) == (256, 10, {on, off})
    with pytest.raises(NoCapacity):
        await world.create(old)
    async with world.working(old):
        await _off(world, old, on)
        await _on(world, old)


async def _forget_reservations(world: World, open_storage: OpenStorage) -> None:
    """Have everything kept but what is recorded of reservations."""
    storage = await open_storage(world.clock, PoisonedStore)
    for recorded in await world.store.read_feed(0, 1_000_000):
        if recorded.type.startswith("compute.capacity-") or recorded.type == "compute.host-joined.v1":
            continue
        names = ("stream", "version", "type", "payload", "metadata", "happened_at")
        await storage.store.append(Append((NewEvent(*(getattr(recorded, name) for name in names)),)))
    await storage.keys.add(await world.kept.keys.page(None, 100))
    world.kept, world.store = storage, storage.store


async def test_a_host_joins_once(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()

    await ensure_registered(worker, world.registered)

    assert await world.events(HostJoined) == [HostJoined(world.host.host_id)]


async def test_a_vps_of_which_nobody_can_read_anything_keeps_no_other_from_being_counted(
    worlds: Worlds, open_storage: OpenStorage
) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_ids = [await _on(world, worker) for _ in range(3)]
    await _forget_reservations(world, open_storage)
    world.store.poisoned = {vps_stream(vps_ids[1])}

    with capture_logs() as logs:
        await ensure_registered(world.worker(), world.registered)

    assert set((await world.reserved()).by_vps) == {vps_ids[0], vps_ids[2]}
    assert [one["vps_id"] for one in logs] == [str(vps_ids[1])]
