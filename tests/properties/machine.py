"""A machine that does to a house whatever comes to its mind."""

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from domain.compute.events import VpsStopped
from domain.compute.host import compare
from domain.compute.steps import next_step
from domain.ids import VpsId
from domain.pricing.price_book import REPRICING_NOTICE
from domain.time import MICROSECONDS_PER_SECOND as SECOND
from domain.time import MINUTE
from tests.properties.asking import MOSTLY, WHICH, Asking
from tests.properties.comparison import Guest

PRICES_HOURLY = st.sampled_from([4_200, 997, 61, 83_333, 5_000_000, 1_000_000, 60, 59, 1, 0])
HOURS = st.sampled_from([2, 1, 4, 100])
SPANS = st.one_of(
    st.sampled_from([10 * MINUTE, 61 * MINUTE, MINUTE - 1, MINUTE, MINUTE + 1, SECOND, 1]),
    st.integers(1, 3 * MINUTE),
    st.integers(30 * MINUTE, 5 * 60 * MINUTE),
)
NEAR = st.one_of(st.sampled_from([0, 1, SECOND, 5 * SECOND]), st.integers(0, 40 * SECOND))
"""How long before or after the instant that matters."""
SELDOM = st.sampled_from([False, False, False, True])


class Billing(Asking):
    """Funds, VPSs, hosts and clocks in any order."""

    @initialize(
        prices=st.tuples(PRICES_HOURLY, PRICES_HOURLY), hours=HOURS, more=st.integers(0, 99), vpss=st.integers(0, 3)
    )
    def begin(self, prices: tuple[int, int], hours: int, more: int, vpss: int) -> None:
        self.run(self.house.open())
        for price in prices:
            plan_id = self.run(self.house.define_plan(price))
            self.reference.price_changes.append((plan_id, self.clock.now(), price))
            self.plans.append(plan_id)
        self.credit(sum(prices) * hours + more + 1, repeated=False)
        for number in range(vpss):
            self.create(number % 2, repeated=False, on=True)

    @rule(plan=st.integers(0, 1), price=PRICES_HOURLY, ahead=st.integers(0, 3 * 60 * MINUTE))
    def reprice(self, plan: int, price: int, ahead: int) -> None:
        at = self.clock.now() + REPRICING_NOTICE + ahead
        self.run(self.house.reprice(self.plans[plan], price, at))
        self.reference.price_changes.append((self.plans[plan], at, price))

    @precondition(lambda self: self.vpss)
    @rule(which=WHICH, until_login=MOSTLY, fails=SELDOM)
    def boot(self, which: int, until_login: bool, fails: bool) -> None:
        vps_id = self.vpss[which % len(self.vpss)]
        while (step := next_step(self.run(self.house.vps(vps_id)))) is not None and step.row.boots:
            if fails:
                self.take_step(vps_id, fails=True)
                self.reference.release(vps_id, self.clock.now())
                return
            if step.name == "login" and not until_login:
                return
            self.take_step(vps_id)
            if step.name == "launch":
                self.launched[vps_id] = self.start_id(vps_id)
                self.guests[vps_id] = Guest(self.launched[vps_id], step.generation)
                self.launches += 1
            elif step.name == "login":
                self.reference.login(vps_id, self.launched[vps_id], self.clock.now())

    @precondition(lambda self: self.vpss)
    @rule(looked_at=MOSTLY)
    def the_worker_does_all_there_is(self, looked_at: bool) -> None:
        for vps_id in list(self.vpss):
            self.end(vps_id, looked_at)
        for which in range(len(self.vpss)):
            self.boot(which, until_login=True, fails=False)

    @precondition(lambda self: self.vpss)
    @rule(which=WHICH, verb=st.sampled_from(["stop", "delete"]), delay=SPANS, looked_at=MOSTLY)
    def have_off(self, which: int, verb: str, delay: int, looked_at: bool) -> None:
        vps_id = self.vpss[which % len(self.vpss)]
        self.ask(which, verb, repeated=False)
        self.time_passes(delay, watched=False, schedulers=0)
        self.end(vps_id, looked_at)

    def end(self, vps_id: VpsId, looked_at: bool) -> None:
        """Have a guest off that is to be, as the worker does."""
        step = next_step(self.run(self.house.vps(vps_id)))
        if step is None or step.row.boots:
            return
        if looked_at:
            self.observe()
        if vps_id in self.guests:
            self.guests[vps_id].on = False
        self.reference.tick(self.clock.now())
        self.take_step(vps_id)
        self.reference.close(vps_id, self.clock.now())
        if step.name == "remove":
            self.vpss.remove(vps_id)

    def observe(self) -> None:
        self.record_observation(self.clock.now(), self.seen())

    @rule()
    def an_observation_is_recorded_late(self) -> None:
        if self.held:
            self.record_observation(*self.held.pop())
        else:
            self.held.append((self.clock.now(), self.seen()))

    @rule()
    def look(self) -> None:
        """Compare host and ledger, as the reconciler does."""
        now, seen = self.clock.now(), {guest.vps_id: guest for guest in self.seen()}
        self.observe()
        for vps_id in self.vpss:
            vps = self.run(self.house.vps(vps_id))
            if compare(vps, seen.get(vps_id), self.house.host_id, now) in ("off", "lost"):
                outcome = self.run(self.house.find_off(vps_id, now))
                self.reference.tick(now)
                if any(isinstance(event, VpsStopped) for _, event in outcome.events):
                    self.reference.close(vps_id, now)

    @precondition(lambda self: self.guests)
    @rule(
        which=WHICH,
        mishap=st.sampled_from(["off", "all off", "on anew", "cpu time falls"]),
        delay=SPANS,
        looked_at=st.booleans(),
    )
    def mishap_on_the_host(self, which: int, mishap: str, delay: int, looked_at: bool) -> None:
        guest = list(self.guests.values())[which % len(self.guests)]
        match mishap:
            case "off":
                guest.on = False
            case "all off":
                for one in self.guests.values():
                    one.on = False
            case "on anew":
                guest.on, guest.cpu_ns, guest.start_id = True, 0, f"{guest.start_id} again"
            case _:
                guest.cpu_ns //= 2
        if looked_at:
            self.time_passes(delay, watched=False, schedulers=0)
            self.look()

    @precondition(lambda self: self.guests)
    @rule(which=WHICH, before=NEAR, after=NEAR, until_start=NEAR, boots_for=NEAR)
    def a_guest_goes_off_around_a_boundary(
        self, which: int, before: int, after: int, until_start: int, boots_for: int
    ) -> None:
        """A guest powers itself off about when its next minute begins, and its owner starts it again."""
        vps_id = list(self.guests)[which % len(self.guests)]
        life = self.reference.machines[vps_id]
        if (following := life.next_minute()) is None or vps_id not in self.vpss:
            return
        self.time_passes(max(0, following[0] - self.clock.now() - before), watched=True, schedulers=1)
        self.time_passes(before + after, watched=False, schedulers=0)
        self.guests[vps_id].on = False
        self.look()
        self.time_passes(until_start, watched=False, schedulers=1)
        which = self.vpss.index(vps_id)
        self.ask(which, "start", repeated=False)
        self.time_passes(boots_for, watched=False, schedulers=0)
        self.boot(which, until_login=True, fails=False)
        self.time_passes(before, watched=True, schedulers=1)

    @rule(schedulers=st.integers(1, 3))
    def tick(self, schedulers: int) -> None:
        ledgers = [self.house.aggregates, *(self.house.started() for _ in range(schedulers - 1))]

        async def all_at_once() -> None:
            await asyncio.gather(*(self.house.tick(aggregates) for aggregates in ledgers))

        self.run(all_at_once())
        for vps_id in self.reference.tick(self.clock.now()):
            vps = self.run(self.house.vps(VpsId(vps_id)))
            assert vps is None or not vps.wanted_on, "the stop is asked for with the minute that was not paid"

    @rule(span=SPANS, watched=MOSTLY, schedulers=st.integers(0, 2))
    def time_passes(self, span: int, watched: bool, schedulers: int) -> None:
        self.clock.advance(span / SECOND)
        for guest in self.guests.values():
            guest.cpu_ns += span if guest.on else 0
        if watched:
            self.observe()
        if schedulers:
            self.tick(schedulers)

    @rule(span=st.sampled_from([1, SECOND, MINUTE, 90 * MINUTE]))
    def the_clock_steps_back(self, span: int) -> None:
        self.clock.advance(-span / SECOND)

    @rule()
    def the_service_crashes(self) -> None:
        self.crash()
