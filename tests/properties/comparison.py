"""A house and the reference side by side, and what must be equal in them."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from adapters.simulated.clock import ManualClock
from domain.books.chart import prepaid
from domain.books.postings import postings
from domain.codec import decode, decode_metadata
from domain.compute.ports import GuestSeen
from domain.events import Event
from domain.ids import EventId, PlanId, TokenId, VpsId
from domain.ports import EventStore, Recorded
from domain.time import MINUTE, Instant
from domain.wallet.events import FundsCredited, MinutesMetered, MinutesWaived
from tests.properties.house import House
from tests.properties.reference import Reference

T = TypeVar("T")


@dataclass
class Guest:
    """What is really on the host."""

    start_id: str
    generation: int
    cpu_ns: int = 0
    on: bool = True


class Comparison(RuleBasedStateMachine):
    """A house and the reference side by side, who must agree after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.stack = AsyncExitStack()
        self.house = House(self.loop.run_until_complete(self.open_store()), self.clock)
        self.reference = Reference()
        self.plans: list[PlanId] = []
        self.vpss: list[VpsId] = []
        self.tokens: list[TokenId] = []
        self.guests: dict[VpsId, Guest] = {}
        self.launched: dict[VpsId, str] = {}
        self.held: list[tuple[Instant, list[GuestSeen]]] = []
        self.minutes: dict[tuple[UUID, int], tuple[int, str]] = {}
        self.paid_until: dict[UUID, int] = {}
        self.amounts: dict[str, int] = {}
        self.trial: dict[str, int] = {}
        self.position = self.loop.run_until_complete(self.house.store.head())
        self.correctable: list[tuple[EventId, Event]] = []
        self.launches = 0

    async def open_store(self) -> EventStore:
        raise NotImplementedError

    def boot(self, which: int, until_login: bool, fails: bool) -> None:
        raise NotImplementedError

    def teardown(self) -> None:
        try:
            self.a_process_that_starts_now_sees_the_same()
        finally:
            self.loop.run_until_complete(self.stack.aclose())
            self.loop.close()

    @invariant()
    def product_and_reference_agree(self) -> None:
        self.read_on()
        wallet = self.run(self.house.wallet_now())
        assert wallet.balance == self.reference.balance
        funds = self.reference.funds
        assert (wallet.goodwill, wallet.receivable, wallet.written_off) == (funds.given, funds.owed, funds.written_off)
        assert 0 <= wallet.goodwill <= wallet.balance
        assert wallet.debts.open == {payment.id: payment.debt for payment in funds.payments if payment.debt}
        assert wallet.debts.given_up == {payment.id: payment.forgiven for payment in funds.payments if payment.forgiven}
        assert wallet.receivable >= 0
        assert not (wallet.receivable and wallet.balance), "what an account has goes to what it owes first"
        for token_id, limit in wallet.limits.items():
            assert sum(limit.spent.values()) == sum(self.reference.tokens[token_id].spent.values())
        assert sum(self.trial.values()) == 0
        assert -self.trial.get(prepaid(self.house.account_id), 0) == wallet.balance
        minutes = self.reference.minutes
        assert self.minutes == {key: (at, how) for key, (at, how, _) in minutes.items()}
        expected: dict[str, int] = {}
        paid: dict[UUID, list[int]] = {}
        for (vps, _), (_, how, amount) in minutes.items():
            expected[how] = expected.get(how, 0) + amount
            if how == "paid":
                paid.setdefault(vps, []).append(amount)
        assert self.amounts == expected
        for meter in wallet.meters.values():
            amounts = paid.get(meter.vps_id, [])
            assert (meter.paid_n, meter.paid) == (len(amounts), sum(amounts))
        assert {meter.vps_id for meter in wallet.meters_on()} == {machine.id for machine in self.reference.on()}
        assert set(wallet.meters) <= set(self.vpss), "the meter of a VPS that is gone is forgotten"

    def a_process_that_starts_now_sees_the_same(self) -> None:
        remembered = self.run(self.house.wallet_now())
        self.crash()
        assert self.run(self.house.wallet_now()) == remembered

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(doing)

    def crash(self) -> None:
        self.house.aggregates = self.house.started()

    def take_step(self, vps_id: VpsId, *, fails: bool = False) -> None:
        self.run(self.house.take_step(vps_id, start_id=self.start_id(vps_id), fails=fails))

    def start_id(self, vps_id: VpsId) -> str:
        return f"start {self.launches} of {vps_id}"

    def seen(self) -> list[GuestSeen]:
        return [
            GuestSeen(vps_id, guest.generation, guest.start_id, running=True, cpu_ns=guest.cpu_ns)
            for vps_id, guest in self.guests.items()
            if guest.on
        ]

    def record_observation(self, collected_at: Instant, guests: list[GuestSeen]) -> None:
        recorded = self.run(self.house.observe(guests, collected_at)).events
        for guest in guests if recorded else ():
            self.reference.observe(guest.start_id, guest.cpu_ns, collected_at)

    def read_on(self) -> None:
        for recorded in self.run(self.house.store.read_feed(self.position, 1_000_000)):
            self.position = recorded.position
            self.take_in(recorded, decode(recorded))

    def take_in(self, recorded: Recorded, event: Event) -> None:
        moved = postings(event)
        assert sum(posting.amount for posting in moved) == 0
        for posting in moved:
            self.trial[posting.account] = self.trial.get(posting.account, 0) + posting.amount
        if recorded.stream == self.house.wallet.stream:
            self.take_in_minutes(event)
        if recorded.stream == self.house.wallet.stream and isinstance(event, FundsCredited | MinutesMetered):
            self.correctable.append((decode_metadata(recorded).id, event))

    def take_in_minutes(self, event: Event) -> None:
        if not isinstance(event, MinutesMetered | MinutesWaived):
            return
        how = "paid" if isinstance(event, MinutesMetered) else event.cause
        for line in event.lines:
            self.amounts[how] = self.amounts.get(how, 0) + line.amount
            if how == "paid":
                assert line.at >= self.paid_until.get(line.vps_id, line.at), "no second is paid twice"
                self.paid_until[line.vps_id] = line.at + (line.n_to - line.n_from + 1) * MINUTE
            for k, n in enumerate(range(line.n_from, line.n_to + 1)):
                assert (line.vps_id, n) not in self.minutes, "a minute is used once"
                self.minutes[line.vps_id, n] = (line.at + k * MINUTE, how)
