"""A customer who does not want to pay: what is in a customer's power, timed freely, against the whole service.

Worker, reconciler and metering are the product's own, in virtual time, on a simulated host. What is the truth, for how
long each guest was on, is kept by the host itself and not by anything that the service records.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from api.application.metering import settle_due
from api.application.worker_context import WorkerContext
from api.workers.provisioning import Worker
from api.workers.reconciler import Reconciler
from api.workers.scheduler import OBSERVE_EVERY_S, SETTLE_EVERY_S
from domain.codec import decode
from domain.compute.events import VpsRunning
from domain.compute.steps import row_of
from domain.compute.vps import Vps
from domain.errors import Refusal
from domain.ids import AccountId, VpsId, vps_stream
from domain.time import MICROSECONDS_PER_SECOND as SECOND
from domain.time import MINUTE, Instant
from domain.wallet.events import MinutesMetered, MinutesWaived
from tests.api.compute_world import SERVICE_KEY, World
from tests.properties.customers_guests import LOGIN_TAKES_S, CustomersHypervisor, CustomersShell, Truth
from tests.properties.kept_in_memory import KeptInMemory
from tests.properties.rides import Outcome, Ride
from tests.properties.schemes import Act, Image, Move, Scheme
from tests.properties.virtual_time import SHORTEST_S, LoopClock, VirtualTimeLoop, run_in_virtual_time

WORKER_S = 5.0
"""What it may take until a worker is at a step, and a step that was missed is taken again."""
LOGIN_TRIED_S = row_of("launched").deadline_s or 0.0
BOOT_S = LOGIN_TRIED_S + LOGIN_TAKES_S + WORKER_S
UNSEEN_S = OBSERVE_EVERY_S + SETTLE_EVERY_S + row_of("stopping").grace_s
FREE_PER_START_S = BOOT_S + UNSEEN_S
"""The constant of the law, how long a guest can be on for nothing at one start: see docs/explanation/ledger.md."""
RUNS_FREE_S = 30.0
"""Of that, what it can run for nothing after its first login and before a stop is accepted."""
HOUR_S = 3_600.0
LIFE_ENDS_AFTER_S = 400.0


class TheOnlyAccount:
    """Implements ``domain.wallet.ports.DueAccounts``: something may always be due of it."""

    def __init__(self, account_id: AccountId) -> None:
        self._account_id = account_id

    async def due_accounts(self, now: Instant, after: AccountId | None, limit: int) -> list[AccountId]:
        """Return it, as the first there is."""
        return [self._account_id] if after is None else []


class FreeRiding(World):
    """The service, one account, and what its customer does."""

    def __init__(self, loop: VirtualTimeLoop, image: Image, *, observe_phase_s: float, tick_phase_s: float) -> None:
        clock = LoopClock(loop)
        super().__init__(KeptInMemory(clock), clock)  # type: ignore[arg-type]
        self.loop = loop
        self.phases = {"observation": (OBSERVE_EVERY_S, observe_phase_s), "tick": (SETTLE_EVERY_S, tick_phase_s)}
        self.truth = Truth(self.host, self.clock, image)
        self.starts: dict[VpsId, list[float]] = {}
        self.ends_asked: dict[VpsId, list[float]] = {}
        self.outages_s = 0.0
        self.service: WorkerContext | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # The service.

    async def open(self, funds: int) -> None:
        await self.founded(funds)
        await self.serve()

    async def serve(self) -> None:
        worker = msgspec.structs.replace(
            self.worker(),
            hypervisors={self.host.host_id: CustomersHypervisor(self.truth)},
            shell=CustomersShell(self.truth, SERVICE_KEY),
        )
        self.service = worker
        due = TheOnlyAccount(self.account_id)
        reconciler = Reconciler(worker)
        self._tasks = [
            asyncio.create_task(Worker(worker).run()),
            asyncio.create_task(self._ring("observation", reconciler.reconcile)),
            asyncio.create_task(self._ring("tick", lambda: settle_due(worker.aggregates, due, self.clock))),
        ]

    async def _ring(self, name: str, do: Callable[[], Awaitable[object]]) -> None:
        await do()
        while True:
            await asyncio.sleep(self.until_next(name))
            await do()

    def until_next(self, name: str) -> float:
        every_s, phase_s = self.phases[name]
        left_s = every_s - (self.loop.time() - phase_s) % every_s
        return left_s if left_s > SHORTEST_S else every_s

    async def be_away(self, for_s: float) -> None:
        """Have the service down for a while: no request is answered, nothing is looked at, guests run on."""
        begun_s = self.loop.time()
        self.service = None
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await asyncio.sleep(for_s)
        await self.serve()
        # Whoever takes over a boot waits for its login anew.
        self.outages_s += self.loop.time() - begun_s + BOOT_S

    # The customer.

    async def play(self, moves: Sequence[Move]) -> None:
        """Do one thing after another with a VPS, and make another one after it was deleted."""
        vps_id: VpsId | None = None
        for move in moves:
            await self._wait_for(move, vps_id)
            vps_id = await self._do(move.act, vps_id)

    async def _wait_for(self, move: Move, vps_id: VpsId | None) -> None:
        now_s, wait_s = self.loop.time(), 0.0
        match move.anchor:
            case "observation" | "tick":
                wait_s = self.until_next(move.anchor)
                if wait_s + move.after_s < 0:
                    wait_s += self.phases[move.anchor][0]
            case "minute" if (since := await self._minutes_from(vps_id)) is not None:
                gone = (now_s - since) % 60
                wait_s = 60 * move.minute - gone
            case "login":
                await self._until(vps_id, lambda vps: vps.power == "up" or not vps.wanted_on)
            case "off":
                await self._until(vps_id, lambda vps: vps.power == "off")
            case "boot deadline" if vps_id is not None:
                wait_s = await self._turned_on(vps_id) + LOGIN_TRIED_S - self.loop.time()
        await asyncio.sleep(max(0.0, wait_s + move.after_s))

    async def _minutes_from(self, vps_id: VpsId | None) -> float | None:
        meter = (await self.wallet()).meters.get(vps_id) if vps_id is not None else None
        at = None if meter is None else meter.first_due_at
        return None if at is None else (at - self._zero()) / SECOND

    async def _until(self, vps_id: VpsId | None, is_so: Callable[[Vps], bool]) -> None:
        for _ in range(250):
            if self.service is not None:
                vps = await self.service.vps(vps_id) if vps_id is not None else None
                if vps is None or vps.gone or is_so(vps):
                    return
            await asyncio.sleep(1.0)

    async def _turned_on(self, vps_id: VpsId) -> float:
        for _ in range(100):
            on = self.truth.on.get(vps_id, [])
            if on and on[-1].until_s is None:
                return on[-1].since_s
            await asyncio.sleep(0.5)
        return self.loop.time() - LOGIN_TRIED_S

    def _zero(self) -> int:
        return self.clock.now() - round(self.loop.time() * SECOND)

    async def _do(self, act: Act, vps_id: VpsId | None) -> VpsId | None:
        if act in ("create", "start", "stop", "restart", "delete", "snapshot", "restore"):
            return await self._ask(act, vps_id)
        if vps_id is not None:
            self.truth.act(act, vps_id)
        return vps_id

    async def _ask(self, act: str, vps_id: VpsId | None) -> VpsId | None:
        if self.service is None:
            return vps_id
        with suppress(Refusal):
            if act == "create":
                if vps_id is None:
                    vps_id = await self.create(self.service)
                    self.starts[vps_id] = [self.loop.time()]
                return vps_id
            if vps_id is None:
                return None
            before = await self.service.vps(vps_id)
            await self._ask_of(self.service, act, vps_id)
            after = await self.service.vps(vps_id)
            if act == "restore" and after is not None and after.wanted_on:
                # It is put off for it, and started again; asked for twice, it is still one.
                self.starts[vps_id] += [] if before == after else [self.loop.time()]
            if act == "start" and before is not None and after is not None and after.generation > before.generation:
                self.starts[vps_id].append(self.loop.time())
            if act in ("stop", "delete"):
                self.ends_asked.setdefault(vps_id, []).append(self.loop.time())
            if act == "delete":
                return None
        return vps_id

    async def _ask_of(self, service: WorkerContext, act: str, vps_id: VpsId) -> None:
        match act:
            case "snapshot":
                await self.take_snapshot(service, vps_id, "before")
            case "restore":
                await self.restore(service, vps_id, "before")
            case _:
                await self.ask(service, act, vps_id)

    async def end(self) -> None:
        """Delete all there is, and wait until it is gone and settled."""
        service = self.service
        assert service is not None
        for vps_id in self.starts:
            with suppress(Refusal):
                await self.ask(service, "delete", vps_id)
        for _ in range(round(LIFE_ENDS_AFTER_S)):
            await asyncio.sleep(1.0)
            if all(vps is None or vps.deleted for vps in [await service.vps(one) for one in self.starts]):
                break
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def rides(self) -> list[Ride]:
        """Return what came of every VPS."""
        rides = {
            vps_id: Ride(
                vps_id, on=self.truth.on.get(vps_id, []), starts=starts, ends_asked=self.ends_asked.get(vps_id, [])
            )
            for vps_id, starts in self.starts.items()
        }
        zero = self._zero()
        for event in await self.events():
            if isinstance(event, MinutesMetered | MinutesWaived):
                for line in event.lines:
                    begins = [(line.at + k * MINUTE - zero) / SECOND for k in range(line.n_to - line.n_from + 1)]
                    ride = rides[line.vps_id]
                    if isinstance(event, MinutesMetered):
                        ride.paid += begins
                    else:
                        ride.waived += begins
                        ride.is_short = ride.is_short or event.cause != "unproven"
        for vps_id, ride in rides.items():
            ride.logins = await self._logins(vps_id)
            assert all(one.until_s is not None for one in ride.on), "what was deleted is off"
        return list(rides.values())

    async def _logins(self, vps_id: VpsId) -> list[float]:
        events = [decode(one) for one in await self.store.read_streams([(vps_stream(vps_id), 0)])]
        return [(one.at - self._zero()) / SECOND for one in events if isinstance(one, VpsRunning)]


def ride(scheme: Scheme) -> Outcome:
    """Have a customer try a scheme; return what came of it."""
    loop = VirtualTimeLoop()

    async def all_of_it() -> Outcome:
        world = FreeRiding(loop, scheme.image, observe_phase_s=scheme.observe_phase_s, tick_phase_s=scheme.tick_phase_s)
        await world.open(scheme.funds)
        playing = [asyncio.create_task(world.play(moves)) for moves in scheme.plays]
        for at_s, for_s in scheme.outages:
            await asyncio.sleep(max(0.0, at_s - loop.time()))
            await world.be_away(for_s)
        await asyncio.gather(*playing)
        await world.end()
        return Outcome(await world.rides(), world.outages_s, len(scheme.plays))

    return run_in_virtual_time(loop, all_of_it())
