"""Customers whose VPSs run by a clock that the test drives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec

from adapters.simulated.clock import ManualClock
from api.application.metering import settle_account
from api.application.repository import CommandContext, Loaded
from domain.compute import outcomes
from domain.compute.capacity import capacity_ref
from domain.compute.events import HostObserved
from domain.compute.host import host_ref
from domain.compute.ports import GuestSeen
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import Decision, recorded_in
from domain.events import Actor, Event
from domain.ids import PlanId, VpsId, host_stream, wallet_stream
from domain.money import MicroUsd
from domain.pricing.commands import RepricePlan
from domain.pricing.price_book import PRICES, reprice_plan
from domain.time import MINUTE, Instant, to_rfc3339
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House, house
from tests.databases import Databases

BEGAN = Instant(472_222 * 60 * MINUTE)
"""The full hour at which every test begins."""


class Scene(msgspec.Struct, eq=False):
    """A house, a customer of it, and the clock of both."""

    house: House
    ann: Customer
    clock: ManualClock

    async def get(self, path: str, **asked: Any) -> Any:
        """Ask as the customer, and return the body."""
        answer = await self.ann.ask("GET", path, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def on(self, name: str = "web-01", **more: Any) -> VpsId:
        """Have a VPS run from now on."""
        body = {"name": name, "plan_id": await self.house.nano(), **more}
        made = await self.ann.ask("POST", "/api/vps", json=body)
        assert made.status_code == 201, made.text
        vps_id = VpsId(UUID(made.json()["id"]))
        await self.up(vps_id)
        return vps_id

    async def up(self, vps_id: VpsId) -> None:
        """Take the steps until the service has logged in."""
        while (step := next_step(await self.vps(vps_id))) is not None:
            await self._take(vps_id, step)

    async def off(self, vps_id: VpsId) -> None:
        """Have a VPS switched off, and shown off at once."""
        assert (await self.ann.ask("POST", f"/api/vps/{vps_id}/stop")).status_code == 202
        await self.up(vps_id)

    async def _take(self, vps_id: VpsId, step: Step) -> None:
        ref, wallet, host = vps_ref(vps_id), wallet_ref(self.ann.id), host_ref(self.house.host.host_id)
        vps, reserved = await self.vps(vps_id), capacity_ref(self.house.host.host_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            shown = loaded.of(host)
            assert shown is not None
            match step.name:
                case "prepare":
                    return outcomes.prepared(vps, step, "ssh-ed25519 A", now)
                case "launch":
                    return outcomes.launched(vps, step, f"start {vps.generation} of {vps_id}", now)
                case "login":
                    return outcomes.came_up(vps, loaded.of(wallet), step, now)
                case "halt":
                    return outcomes.went_off(
                        vps, loaded.of(wallet), shown, loaded.of(reserved), loaded.of(PRICES), step, now
                    )
                case _:
                    raise AssertionError(step)

        await self.execute([ref, wallet, host, reserved, PRICES], decide)

    async def vps(self, vps_id: VpsId) -> Vps:
        """Return a VPS as it is."""
        ref = vps_ref(vps_id)
        vps = (await self.house.runtime.aggregates.load(ref)).of(ref)
        assert vps is not None
        return vps

    async def minutes_pass(self, count: int, *running: VpsId) -> None:
        """Let so many minutes pass one by one, in which the host shows these VPSs on; settle each."""
        host_id = self.house.host.host_id
        for _ in range(count):
            self.clock.advance(60)
            now = self.clock.now()
            guests = []
            for vps_id in running:
                vps = await self.vps(vps_id)
                guests.append(GuestSeen(vps_id, vps.generation, vps.start_id, running=True, cpu_ns=now))
            observed = HostObserved(host_id, "boot", now, tuple(guests))
            await self.execute([host_ref(host_id)], lambda *_, o=observed: recorded_in(host_stream(host_id), o))
            await settle_account(self.house.runtime.aggregates, self.ann.id)

    async def record(self, *events: Event) -> None:
        """Record events in the customer's wallet."""
        stream = wallet_stream(self.ann.id)
        await self.execute([wallet_ref(self.ann.id)], lambda *_: recorded_in(stream, *events))

    async def reprice(self, hourly: int, at: Instant) -> None:
        """Change the price of Nano from an instant on."""
        command = RepricePlan(PlanId(UUID(await self.house.nano())), MicroUsd(hourly), at)
        await self.execute(
            [PRICES], lambda loaded, now: recorded_in(PRICES.stream, *reprice_plan(loaded.of(PRICES), command, now))
        )

    async def execute(self, refs: Any, decide: Any) -> None:
        """Decide, and record."""
        context = CommandContext(Actor("service", part="test"), self.ann.id)
        await self.house.runtime.aggregates.execute(refs, decide, context)

    def at(self, minutes: float) -> str:
        """Return so many minutes after the beginning as it is written."""
        return to_rfc3339(Instant(BEGAN + round(minutes * MINUTE)))


@asynccontextmanager
async def scene(databases: Databases, micros: int = 10_000_000) -> AsyncIterator[Scene]:
    """Make a house, and a customer of it."""
    clock = ManualClock(BEGAN)
    async with house(databases, clock=clock) as made:
        ann = await made.register(f"{uuid4().hex[:8]}@example.com")
        if micros:
            await ann.credit(micros)
        yield Scene(made, ann, clock)
