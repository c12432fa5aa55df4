"""Whoever owns a VPS on a host that is gone is told so, and since when."""

import pytest

from api.http.vps.schemas import VpsEventResponse
from api.workers.reconciler import Reconciler
from tests.api.compute_world import Worlds

pytestmark = pytest.mark.anyio


async def test_the_events_of_a_vps_tell_since_when_its_host_is_gone_and_when_it_is_back(worlds: Worlds) -> None:
    world = await worlds()
    async with world.with_vps() as (worker, _):
        reconciler = Reconciler(worker)
        for unreachable in (True, False):
            world.host.faults.unreachable = unreachable
            for _ in range(12):
                world.clock.advance(20)
                await reconciler.reconcile()

    stored = [one for one in await world.store.read_feed(0, 1_000_000) if one.type.startswith("compute.vps-host-")]
    lost, found = map(VpsEventResponse.of, stored)
    assert (lost.event, found.event) == ("compute.vps-host-lost.v1", "compute.vps-host-found.v1")
    assert lost.by == "service"
    assert lost.facts["since"] == "2023-11-14T22:13:40Z"
    assert lost.facts["at"] == "2023-11-14T22:16:40Z"
    assert found.facts["at"] == "2023-11-14T22:17:40Z"
