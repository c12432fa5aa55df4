"""What hosts kept guests from is recorded of each of them, whatever the others'."""

import pytest

from api.workers.denials import collect_denials
from domain.compute.events import VpsEgressDenied
from domain.compute.ports import Denial
from domain.ids import vps_stream
from tests.api.compute_world import Worlds

pytestmark = pytest.mark.anyio


async def test_a_vps_that_cannot_be_read_costs_no_other_what_its_guest_was_kept_from(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, vps_id):
        unreadable = await world.create(worker)
        await world.settled(worker, unreadable)
    world.store.poisoned.add(vps_stream(unreadable))
    world.host.denials = [Denial(one, "tcp", "10.0.0.5", 5432, 3) for one in (unreadable, vps_id)]
    await collect_denials(world.worker())

    assert len(await world.events(VpsEgressDenied)) == 1
