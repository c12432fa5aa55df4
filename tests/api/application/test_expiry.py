"""VPSs whose time is over go by themselves, pay to their end, and their owners were told before."""

import pytest

from api.application.expiry import expire_due
from api.application.metering import settle_account
from api.workers.reconciler import Reconciler
from domain.compute.events import VpsDeleted, VpsDeleteRequested, VpsExpiryWarned
from domain.ids import vps_stream
from tests.api.compute_world import Worlds

pytestmark = pytest.mark.anyio


async def test_a_vps_is_told_of_ten_minutes_before_its_end_and_then_deleted_and_pays_to_its_end(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        reconciler = Reconciler(worker)
        await world.change(worker, vps_id, ttl_minutes=15)
        ends = world.clock.now() + 15 * 60 * 1_000_000
        for _ in range(40):
            world.clock.advance(30)
            await reconciler.reconcile()
            await settle_account(worker.aggregates, world.account_id)
            await expire_due(worker)
        (vps,) = await world.settled(worker, vps_id)

    assert vps.deleted
    (warned,) = await world.events(VpsExpiryWarned)
    (requested,) = await world.events(VpsDeleteRequested)
    assert isinstance(warned, VpsExpiryWarned)
    assert isinstance(requested, VpsDeleteRequested)
    assert 0 <= warned.at - (ends - 10 * 60 * 1_000_000) <= 30 * 1_000_000
    assert 0 <= requested.at - ends <= 30 * 1_000_000
    assert requested.reason == "ttl"
    paid, waived = await world.minutes(vps_id)
    assert (paid, waived) == (list(range(1, len(paid) + 1)), [])
    assert len(paid) >= 15
    assert world.host.guests == {}


async def test_one_whose_time_was_over_while_the_service_was_down_goes_when_it_is_back(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    vps_id = await world.create(worker)
    await world.change(worker, vps_id, ttl_minutes=1)
    world.clock.advance(7 * 24 * 3600)

    again = world.worker()
    assert await expire_due(again) == 1
    assert await expire_due(again) == 0

    async with world.working(again):
        (vps,) = await world.settled(again, vps_id)
    assert vps.deleted
    assert len(await world.events(VpsDeleted)) == 1


async def test_an_end_that_was_put_off_in_time_deletes_nothing(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        await world.change(worker, vps_id, ttl_minutes=1)
        world.clock.advance(59)
        await world.change(worker, vps_id, ttl_minutes=60)
        world.clock.advance(60)

        assert await expire_due(worker) == 0
        vps = await worker.vps(vps_id)
    assert vps is not None
    assert not vps.gone


async def test_one_that_cannot_be_read_keeps_no_other_from_its_end(worlds: Worlds) -> None:
    world = await worlds()
    worker = await world.founded()
    vps_ids = sorted([await world.create(worker) for _ in range(3)])
    for vps_id in vps_ids:
        await world.change(worker, vps_id, ttl_minutes=1)
    world.store.poisoned = {vps_stream(vps_ids[0])}
    world.clock.advance(60)

    assert await expire_due(world.worker()) == 2
    assert len(await world.events(VpsDeleteRequested)) == 2
