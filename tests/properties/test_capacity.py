"""Whatever many accounts ask of two processes: never more is taken than there is, and what is off holds nothing."""

import asyncio
import random
from contextlib import suppress

import pytest

from api.application.worker_context import WorkerContext
from api.workers.reconciler import ORPHAN_GRACE_S, Reconciler
from domain.compute.capacity import Reservations
from domain.compute.steps import next_step
from domain.compute.vps import Vps
from domain.deciding import recorded_in
from domain.errors import Refusal
from domain.ids import AccountId, VpsId
from domain.money import MicroUsd
from domain.pauses import Pauses
from domain.wallet.events import FundsCredited, WalletOpened
from domain.wallet.wallet import wallet_ref
from tests.api.compute_world import IDS, World, Worlds
from tests.steps import change_steps

pytestmark = pytest.mark.anyio

ACCOUNTS, ROUNDS, AT_ONCE = 4, 25, 6
MEMORY_MB, VCPU, DISK_GB, PORTS = 4 * 256 + 255, 5, 9 * 5, 4


class Crowd:
    """Some accounts on one host, and everything that they made."""

    def __init__(self, seed: int, world: World) -> None:
        self.dice = random.Random(seed)
        self.world = world
        self.accounts: list[AccountId] = []
        self.vpss: dict[VpsId, AccountId] = {}

    async def founded(self) -> tuple[WorkerContext, WorkerContext]:
        one = await self.world.founded(10_000_000)
        self.accounts.append(self.world.account_id)
        for _ in range(ACCOUNTS - 1):
            account_id = AccountId(IDS.new())
            ref = wallet_ref(account_id)
            credited = FundsCredited(account_id, IDS.new(), MicroUsd(10_000_000), "a start")
            self.world.account_id = account_id
            await self.world.execute(one, [ref], recorded_in(ref.stream, WalletOpened(account_id), credited))
            self.accounts.append(account_id)
        return one, self.world.worker()

    async def ask(self, worker: WorkerContext) -> None:
        """Ask for anything; a no changes nothing."""
        what = self.dice.choice(["create", "create", "start", "start", "stop", "stop", "delete", "crash", "vanish"])
        vps_id = self.dice.choice(list(self.vpss)) if self.vpss else None
        if what == "create" or vps_id is None:
            self.world.account_id = self.dice.choice(self.accounts)
            made, owner = VpsId(IDS.new()), self.world.account_id
            with suppress(Refusal):
                await self.world.create(worker, vps_id=made)
                self.vpss[made] = owner
        elif what == "crash":
            if vps_id in self.world.host.guests:
                self.world.host.crash_guest(vps_id)
        elif what == "vanish":
            self.world.host.guests.pop(vps_id, None)
        else:
            self.world.account_id = self.vpss[vps_id]
            with suppress(Refusal):
                await self.world.ask(worker, what, vps_id)

    async def check(self) -> None:
        """Nothing is promised twice, and nothing runs that nothing is reserved for."""
        reserved = await self.world.reserved()
        held = reserved.by_vps
        assert reserved.memory_mb == sum(one.memory_mb for one in held.values()) <= MEMORY_MB
        assert reserved.vcpu == sum(one.vcpu for one in held.values()) <= 4 * VCPU
        assert reserved.disk_gb == sum(one.disk_gb for one in held.values()) <= DISK_GB
        assert reserved.ports == {one.ssh_port: vps_id for vps_id, one in held.items() if one.on}
        running = [guest.spec for guest in self.world.host.guests.values() if guest.running]
        assert all(held[spec.vps_id].on for spec in running)
        assert sum(spec.memory_mb for spec in running) <= MEMORY_MB
        assert len({spec.ssh_port for spec in running}) == len(running)

    async def vps(self, vps_id: VpsId) -> Vps:
        vps = await self.world.worker().vps(vps_id)
        assert vps is not None
        return vps


@pytest.mark.parametrize("seed", range(6))
async def test_no_more_is_taken_than_there_is_and_what_is_off_holds_its_disk_alone(
    seed: int, worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What vanished has no disk any more: a start of it comes to nothing, and soon.
    change_steps(monkeypatch, deadline_s=0.2, pauses=Pauses(0.05, 0.05))
    world = await worlds(memory_mb=MEMORY_MB, vcpu=VCPU, disk_gb=DISK_GB, ports=PORTS)
    crowd = Crowd(seed, world)
    one, other = await crowd.founded()
    reconcilers = [Reconciler(one), Reconciler(other)]
    async with world.working(one), world.working(other):
        for _ in range(ROUNDS):
            await asyncio.gather(*(crowd.ask((one, other)[k % 2]) for k in range(AT_ONCE)))
            await crowd.check()
            world.clock.advance(crowd.dice.choice([1, 20, 70]))
            await asyncio.gather(*(reconciler.reconcile() for reconciler in reconcilers))
            await crowd.check()
        async with asyncio.timeout(60):
            for vps_id in crowd.vpss:
                while next_step(await crowd.vps(vps_id)) is not None:
                    world.clock.advance(5)
                    await asyncio.sleep(0.01)
        for _ in range(4):
            world.clock.advance(ORPHAN_GRACE_S + 1)
            await reconcilers[0].reconcile()
    await crowd.check()

    there = {vps_id: vps for vps_id in crowd.vpss if not (vps := await crowd.vps(vps_id)).deleted}
    reserved = await world.reserved()
    assert set(reserved.by_vps) == set(there)
    assert {vps_id for vps_id, held in reserved.by_vps.items() if held.on} == {
        vps_id for vps_id, vps in there.items() if vps.wanted_on
    }

    async with world.working(one):
        for vps_id in there:
            world.account_id = crowd.vpss[vps_id]
            await world.ask(one, "delete", vps_id)
            await world.settled(one, vps_id)
    assert await world.reserved() == Reservations()
