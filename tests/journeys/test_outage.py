"""The service is away for ten minutes while VPSs run: what is proven is paid, the rest is waived, nothing is lost."""

import pytest

from api.application.metering import settle_account
from api.workers.reconciler import Reconciler
from domain.compute.events import VpsStopped
from domain.compute.vps import Vps
from domain.ids import VpsId
from domain.money import charge_for_minutes
from domain.wallet.events import MinutesWaived
from tests.api.compute_world import PRICE_HOURLY, Life, World, Worlds

pytestmark = pytest.mark.anyio

AWAY_S = 600
FUNDS = 1_000_000


class Service:
    """One life of the service over a world; between two of them nobody looks and nobody settles."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.life = Life()
        self.worker = world.worker(self.life)
        self.reconciler = Reconciler(self.worker)

    async def ring(self) -> None:
        """Look at the host, then settle, as the schedules do."""
        await self.reconciler.reconcile()
        await settle_account(self.worker.aggregates, self.world.account_id)

    async def work(self, vps_id: VpsId) -> Vps:
        """Take every step that there is; return the VPS."""
        async with self.world.working(self.worker):
            (vps,) = await self.world.settled(self.worker, vps_id)
        return vps

    def end(self) -> None:
        self.life.over = True


async def running(world: World, funds: int = FUNDS) -> tuple[VpsId, Service]:
    """Return a VPS that runs, half a minute after its first login, and the service that looked at it just now."""
    await world.founded(funds)
    service = Service(world)
    vps_id = await world.create(service.worker)
    assert (await service.work(vps_id)).state == "running"
    world.clock.advance(30)
    await service.ring()
    return vps_id, service


async def test_minutes_of_ten_minutes_away_are_caught_up_to_the_last_one(worlds: Worlds) -> None:
    world = await worlds()
    vps_id, service = await running(world)
    service.end()

    world.clock.advance(AWAY_S)
    await Service(world).ring()

    assert await world.minutes(vps_id) == (list(range(1, 12)), [])
    assert (await world.wallet()).balance == FUNDS - charge_for_minutes(PRICE_HOURLY, 1, 11)


async def test_minutes_after_a_guest_was_last_seen_are_waived_if_it_is_off_when_the_service_is_back(
    worlds: Worlds,
) -> None:
    world = await worlds()
    vps_id, service = await running(world)
    world.clock.advance(60)
    await service.ring()
    service.end()

    world.clock.advance(AWAY_S / 2)
    world.host.crash_guest(vps_id)
    world.clock.advance(AWAY_S / 2)
    back = Service(world)
    await back.ring()
    await back.work(vps_id)

    paid, waived = await world.minutes(vps_id)
    assert paid == [1, 2]
    assert waived == list(range(3, 13))
    assert {event.cause for event in await world.events(MinutesWaived) if isinstance(event, MinutesWaived)} == {
        "unproven"
    }
    assert (await world.wallet()).balance == FUNDS - charge_for_minutes(PRICE_HOURLY, 1, 2)


async def test_funds_for_part_of_the_time_away_pay_that_part_and_the_vps_is_stopped(worlds: Worlds) -> None:
    world = await worlds()
    vps_id, service = await running(world, funds=PRICE_HOURLY)
    world.clock.advance(54 * 60)
    await service.ring()
    service.end()

    world.clock.advance(AWAY_S)
    back = Service(world)
    await back.ring()
    vps = await back.work(vps_id)

    paid, waived = await world.minutes(vps_id)
    assert (paid, waived) == (list(range(1, 61)), list(range(61, 66)))
    assert (await world.wallet()).balance == 0
    assert vps.state == "stopped"
    assert [event.reason for event in await world.events(VpsStopped) if isinstance(event, VpsStopped)] == ["unpaid"]
    assert not world.host.guests[vps_id].running
