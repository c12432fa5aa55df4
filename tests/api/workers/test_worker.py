"""The worker takes every VPS to where it should be, whoever else is at it, and whatever goes wrong."""

import asyncio

import pytest

from api.application.metering import settle_account
from api.workers.reconciler import Reconciler
from domain.compute.events import VpsDeleted, VpsFailed, VpsRunning, VpsStopped
from domain.compute.vps import VpsIsCreating
from domain.errors import NotFound
from domain.ids import VpsId
from domain.ports import StoreUnavailable
from tests.api.compute_world import PRICE_HOURLY, World, Worlds, until
from tests.steps import SHORT, change_steps

pytestmark = pytest.mark.anyio


async def test_a_vps_that_was_asked_for_runs(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()

    async with world.working(worker):
        vps_id = await world.create(worker)
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.pending, vps.generation) == ("running", None, 1)
    assert vps.host_id == world.host.host_id
    assert vps.host_key_public == world.host.guests[vps_id].host_key_public
    assert world.host.guests[vps_id].spec.authorized_keys[0] == worker.service_key
    meter = (await world.wallet()).meters[vps_id]
    assert meter.run_from == vps.started_at


async def test_a_stopped_vps_is_off_and_pays_for_what_it_ran(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.clock.advance(150)
        await world.ask(worker, "stop", vps_id)
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.pending) == ("stopped", None)
    assert not world.host.guests[vps_id].running
    assert await world.minutes(vps_id) == ([1, 2, 3], [])
    assert (await world.wallet()).balance == 1_000_000 - 3 * PRICE_HOURLY // 60


async def test_a_vps_that_was_stopped_starts_again_as_its_next_generation(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.ask(worker, "stop", vps_id)
        await world.settled(worker, vps_id)

        await world.ask(worker, "start", vps_id)
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.generation) == ("running", 2)
    assert world.host.guests[vps_id].generation == 2


async def test_a_restart_boots_the_guest_anew_within_the_same_start(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        (before,) = await world.settled(worker, vps_id)

        await world.ask(worker, "restart", vps_id)
        (after,) = await world.settled(worker, vps_id)

    assert world.host.guests[vps_id].boots == 2
    assert (after.state, after.start_id, after.started_at) == ("running", before.start_id, before.started_at)


async def test_a_deleted_vps_leaves_nothing_behind_and_its_port_is_free(worlds: Worlds) -> None:
    world = await worlds(ports=1)
    worker = await world.founded()
    async with world.working(worker):
        first = await world.create(worker)
        await world.settled(worker, first)

        await world.ask(worker, "delete", first)
        await world.settled(worker, first)
        second = await world.create(worker)
        (vps,) = await world.settled(worker, second)

    assert list(world.host.guests) == [second]
    assert vps.state == "running"
    with pytest.raises(NotFound):
        await world.ask(worker, "stop", first)


async def test_a_vps_is_deleted_while_it_boots(worlds: Worlds) -> None:
    world = await worlds(boot_s=3600)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await _until_launched(world, vps_id)
        with pytest.raises(VpsIsCreating):
            await world.ask(worker, "stop", vps_id)

        await world.ask(worker, "delete", vps_id)
        await world.settled(worker, vps_id)

    assert not world.host.guests
    assert await world.events(VpsRunning) == []
    assert len(await world.events(VpsDeleted)) == 1
    assert await world.minutes(vps_id) == ([], [])


async def test_a_removal_is_tried_until_the_host_lets_it_happen(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        world.host.faults.fail_next("ensure_removed", times=2)
        await world.ask(worker, "delete", vps_id)
        while world.host.guests:
            world.clock.advance(60)
            await asyncio.sleep(0.01)
        await world.settled(worker, vps_id)

    assert len(await world.events(VpsDeleted)) == 1


async def test_a_guest_with_another_host_key_is_never_let_run(worlds: Worlds) -> None:
    world = await worlds(boot_s=3600)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await _until_launched(world, vps_id)
        world.host.change_host_key(vps_id, "ssh-ed25519 AAAAsomebodyelse")
        world.clock.advance(3600)

        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.error) == ("error", "the guest has another host key")
    assert not world.host.guests[vps_id].running
    assert [type(event) for event in await world.events(VpsFailed, VpsStopped)] == [VpsFailed, VpsStopped]
    assert await world.minutes(vps_id) == ([], [])


async def test_a_vps_of_old_that_finds_no_room_is_in_error_and_costs_nothing(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_steps(monkeypatch, "place", deadline_s=0.05)
    world = await worlds(memory_mb=100)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create_unplaced(worker)
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.error) == ("error", "no host has room for it now")
    assert (await world.wallet()).balance == 1_000_000
    assert not list((await world.wallet()).meters_on())


async def test_an_error_ends_by_a_start(worlds: Worlds) -> None:
    world = await worlds(boot_s=3600)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await _until_launched(world, vps_id)
        right = world.host.guests[vps_id].host_key_public
        world.host.change_host_key(vps_id, "ssh-ed25519 AAAAsomebodyelse")
        world.clock.advance(3600)
        await world.settled(worker, vps_id)

        world.host.change_host_key(vps_id, right)
        world.host.boot_us = 0
        await world.ask(worker, "start", vps_id)
        (vps,) = await world.settled(worker, vps_id)

    assert (vps.state, vps.error, vps.generation) == ("running", None, 2)


async def test_a_vps_that_cannot_pay_its_next_minute_is_put_off_and_what_it_ran_unpaid_is_waived(
    worlds: Worlds,
) -> None:
    world = await worlds()
    worker = await world.founded(funds=PRICE_HOURLY)
    async with world.working(worker):
        vps_id = await world.create(worker)
        await world.settled(worker, vps_id)
        world.clock.advance(61 * 60 + 30)

        await Reconciler(worker).reconcile()
        await settle_account(worker.aggregates, world.account_id)
        (vps,) = await world.settled(worker, vps_id)

    paid, waived = await world.minutes(vps_id)
    assert (vps.state, world.host.guests[vps_id].running) == ("stopped", False)
    assert (paid, waived) == ([*range(1, 61)], [61, 62])
    assert (await world.wallet()).balance == 0
    (stopped,) = await world.events(VpsStopped)
    assert isinstance(stopped, VpsStopped)
    assert stopped.reason == "unpaid"


async def test_a_worker_that_is_to_end_leaves_the_rest_to_others_at_once(worlds: Worlds) -> None:
    world = await worlds(boot_s=3600)
    worker = await world.founded()
    async with world.working(worker):
        vps_id = await world.create(worker)
        await _until_launched(world, vps_id)
    world.host.guests[vps_id].answers_from = world.clock.now()

    other = world.worker()
    async with world.working(other):
        (vps,) = await world.settled(other, vps_id)

    assert vps.state == "running"
    assert world.host.guests[vps_id].boots == 1


async def test_a_store_that_is_away_for_a_while_only_costs_time(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.workers.provisioning.PAUSES", SHORT)
    world = await worlds()
    worker = await world.founded()
    async with world.working(worker):
        with monkeypatch.context() as outage:
            vps_id = await world.create(worker)
            for call in ("append", "read_streams", "read_feed", "wait_past", "head"):
                outage.setattr(world.store, call, _away)
            await asyncio.sleep(0.1)
        world.clock.advance(60)
        (vps,) = await world.settled(worker, vps_id)

    assert vps.state == "running"


async def _away(*_: object) -> None:
    raise StoreUnavailable("the store is away")


async def _until_launched(world: World, vps_id: VpsId) -> None:
    await until(lambda: vps_id in world.host.guests and world.host.guests[vps_id].running)
