"""Months of a customer: everything that can happen to a wallet, recorded when a test says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec

from adapters.simulated.clock import ManualClock
from api.application.repository import CommandContext
from domain.compute.events import VpsRequested
from domain.compute.vps import vps_ref
from domain.deciding import AggregateRef, Decision
from domain.events import Actor, Event
from domain.ids import EventId, PaymentId, PlanId, StreamId, VpsId
from domain.money import MicroUsd, charge_for_minutes
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_REF, change
from domain.statements.month import Month
from domain.time import Instant, seconds
from domain.wallet.events import (
    FundsAdded,
    FundsCorrected,
    FundsTaken,
    MeterStarted,
    MinuteLine,
    MinutesMetered,
    MinutesWaived,
    ReceivablePaid,
    VpsAdmitted,
    WaiveCause,
)
from domain.wallet.wallet import wallet_ref
from tests.api.houses import PASSWORD, ROOMY, Customer, House, house
from tests.databases import Databases

NOVEMBER, DECEMBER = Month(2026, 11), Month(2026, 12)
PAYMENT = PaymentId(UUID(int=41))
HOURLY = MicroUsd(4_200)


class Months(msgspec.Struct, eq=False):
    """A house, a customer of it, and the clock of both."""

    house: House
    clock: ManualClock
    ann: Customer
    plan_id: PlanId

    async def until(self, at: Instant) -> None:
        """Let time pass, and log in again, since a session does not last that long."""
        self.clock.advance((at - self.clock.now()) / seconds(1))
        body = {"email": self.ann.email, "password": PASSWORD}
        self.ann.token = (await self.house.client.post("/api/auth/login", json=body)).json()["token"]

    async def rename(self, vps_id: VpsId, name: str) -> None:
        """Have a VPS called otherwise from now on."""
        assert (await self.ann.ask("PATCH", f"/api/vps/{vps_id}", json={"name": name})).status_code == 200

    async def record(self, *events: Event, vps_id: VpsId | None = None) -> None:
        """Record events in the customer's wallet; of a VPS, what is no event of a wallet."""
        ref, vps = wallet_ref(self.ann.id), StreamId(vps_id or uuid4())
        streams = [(vps if isinstance(event, VpsRequested) else ref.stream, event) for event in events]
        refs: list[AggregateRef[Any]] = [ref] if vps_id is None else [ref, vps_ref(vps_id)]
        context = CommandContext(Actor("service", part="test"), self.ann.id)
        outcome = await self.house.runtime.aggregates.execute(refs, lambda _s, _n: Decision(tuple(streams)), context)
        assert outcome.last_position

    async def vps(self, name: str) -> VpsId:
        """Record a VPS that runs."""
        vps_id, now = VpsId(uuid4()), self.clock.now()
        requested = VpsRequested(
            vps_id=vps_id,
            account_id=self.ann.id,
            name=name,
            plan_id=self.plan_id,
            vcpu=1,
            memory_mb=512,
            disk_gb=10,
            image="lite",
            ssh_key_ids=(),
            authorized_keys="",
            user_data=None,
            labels=None,
            token_id=None,
            created_at=now,
        )
        admitted = VpsAdmitted(self.ann.id, vps_id, 1, self.plan_id, None, now)
        await self.record(requested, admitted, MeterStarted(vps_id, 1, now), vps_id=vps_id)
        return vps_id

    async def minutes(self, vps_id: VpsId, n_from: int, n_to: int, waived: WaiveCause | None = None) -> None:
        """Record minutes of a VPS, paid or waived."""
        amount = charge_for_minutes(HOURLY, n_from, n_to)
        line = MinuteLine(vps_id, n_from, n_to, self.clock.now(), self.plan_id, 1, HOURLY, amount)
        if waived is None:
            await self.record(MinutesMetered(self.ann.id, (line,)))
        else:
            await self.record(MinutesWaived(self.ann.id, waived, (line,)))

    async def set(self, name: str, value: str) -> None:
        """Change a setting."""
        await self.house.runtime.aggregates.execute(
            [SETTINGS_REF],
            lambda loaded, _: change(loaded.of(SETTINGS_REF), ChangeSetting(name, value)),
            CommandContext(Actor("operator")),
        )

    async def entries(self) -> dict[str, Any]:
        """Ask for the statement of November."""
        told: dict[str, Any] = (await self.ann.ask("GET", "/api/billing/statements/2026-11")).json()
        return told


@asynccontextmanager
async def months(databases: Databases) -> AsyncIterator[Months]:
    """Make a house in which it is the 10th of November 2026."""
    clock = ManualClock(Instant(NOVEMBER.begins + 10 * seconds(86_400)))
    async with house(databases, ROOMY, clock) as made:
        ann = await made.register("ann@example.com")
        yield Months(made, clock, ann, PlanId(UUID(await made.nano())))


async def eventful_november(here: Months) -> None:
    """Record a month in which everything happens: it ends with 4.7867 USD."""
    ann = here.ann
    await ann.credit(2_000_000)
    await here.record(FundsAdded(ann.id, PAYMENT, MicroUsd(10_000_000)))
    web, mail = await here.vps("web-01"), await here.vps("mail")
    await here.minutes(web, 1, 180)
    await here.minutes(mail, 1, 3)
    await here.minutes(web, 181, 183, waived="unproven")
    await here.minutes(web, 184, 184)
    taken, owed = MicroUsd(11_987_120), MicroUsd(2_000_000)
    await here.record(FundsTaken(ann.id, PAYMENT, "dispute", "dp_1", taken, owed, MicroUsd(0)))
    await here.record(
        FundsAdded(ann.id, PaymentId(UUID(int=42)), MicroUsd(6_786_660)), ReceivablePaid(ann.id, MicroUsd(2_000_000))
    )
    corrected = FundsCorrected(ann.id, uuid4(), EventId(UUID(int=9)), "minutes", MicroUsd(40), "für ‘привет’, <b>")
    await here.record(corrected)
