"""A house under test: the product's own decisions over a store, on a host whose truth the test decides."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from adapters.ids import TimeOrderedIds
from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from api.application.metering import settle_account
from api.application.repository import AggregateRepository, CommandContext, CommandResult, Loaded
from domain.compute import admission, outcomes
from domain.compute import host as hosts
from domain.compute.capacity import Room, capacity_ref
from domain.compute.commands import CreateVps
from domain.compute.events import HostDiffered, HostRegistered
from domain.compute.host import host_ref
from domain.compute.ports import GuestSeen, HostObservation
from domain.compute.steps import next_step
from domain.compute.vps import Vps, vps_ref
from domain.deciding import AggregateRef, Decision, recorded_in
from domain.events import Actor, Event
from domain.ids import PRICING_STREAM, AccountId, HostId, PlanId, TokenId, VpsId, wallet_stream
from domain.money import MicroUsd
from domain.ports import Claim, EventStore
from domain.pricing.commands import DefinePlan, RepricePlan
from domain.pricing.price_book import PRICES, define_plan, reprice_plan
from domain.time import Instant
from domain.tokens import token as tokens
from domain.tokens.commands import CreateToken, RevokeToken
from domain.tokens.token import token_ref
from domain.wallet.commands import CreditFunds
from domain.wallet.events import LimitWindow
from domain.wallet.funds import credit_funds, open_wallet
from domain.wallet.vps_limits import VpsLimits
from domain.wallet.wallet import Wallet, wallet_ref

LIMITS = VpsLimits(vps_max=1_000, vps_disk_gb_max=1_000_000)
Decide = Callable[[Loaded, Instant], Decision]


class House:
    """One account on one host. Every call goes to one of several processes that know nothing of each other."""

    def __init__(self, store: EventStore, clock: ManualClock) -> None:
        self.store, self.clock, self.ids = store, clock, TimeOrderedIds()
        self.account_id = AccountId(self.ids.new())
        self.host_id = HostId(self.ids.new())
        self.wallet: AggregateRef[Wallet] = wallet_ref(self.account_id)
        self.host = host_ref(self.host_id)
        self.reserved = capacity_ref(self.host_id)
        self._keys = MemoryKeyTable()
        self.aggregates = self.started()

    def started(self, store: EventStore | None = None) -> AggregateRepository:
        """Return the ledger of a process that has just started, and remembers nothing."""
        sealer = AccountSealer(MasterKey(bytes(32)), self._keys)
        return AggregateRepository(store or self.store, sealer, self.clock, self.ids)

    async def open(self) -> None:
        """Open the wallet, and register the host."""
        await self.execute([self.wallet], lambda loaded, _: self._in_wallet(*open_wallet(Wallet(), self.account_id)))
        registered = HostRegistered(self.host_id, "host", "192.0.2.1", 2_200, 9_999, None)
        await self.execute([self.host], lambda _loaded, _now: recorded_in(self.host.stream, registered))

    async def define_plan(self, price_hourly: int) -> PlanId:
        plan_id = PlanId(self.ids.new())
        command = DefinePlan(plan_id, str(plan_id), 1, 256, 5, MicroUsd(price_hourly))
        await self.execute(
            [PRICES], lambda s, now: recorded_in(PRICING_STREAM, *define_plan(s.of(PRICES), command, now))
        )
        return plan_id

    async def reprice(self, plan_id: PlanId, price_hourly: int, effective_at: int) -> None:
        command = RepricePlan(plan_id, MicroUsd(price_hourly), Instant(effective_at))
        await self.execute(
            [PRICES], lambda s, now: recorded_in(PRICING_STREAM, *reprice_plan(s.of(PRICES), command, now))
        )

    async def credit(self, credit_id: UUID, amount: int, aggregates: AggregateRepository | None = None) -> None:
        """Give funds; raises ClaimTaken if this was done before."""
        command = CreditFunds(credit_id, MicroUsd(amount), "a test")

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            claim = Claim("test-credit", credit_id.bytes, self.account_id)
            events = tuple((self.wallet.stream, event) for event in credit_funds(loaded.of(self.wallet), command))
            return Decision(events=events, claims=(claim,))

        await self.execute([self.wallet], decide, aggregates)

    async def create(
        self,
        vps_id: VpsId,
        plan_id: PlanId,
        aggregates: AggregateRepository | None = None,
        token_id: TokenId | None = None,
    ) -> CommandResult[None]:
        command = CreateVps(
            vps_id=vps_id,
            account_id=self.account_id,
            name="web",
            plan_id=plan_id,
            vcpu=1,
            memory_mb=256,
            disk_gb=5,
            image="lite",
            token_id=token_id,
        )

        def decide(loaded: Loaded, now: Instant) -> Decision:
            vps, wallet, rooms = loaded.of(vps_ref(vps_id)), loaded.of(self.wallet), self.rooms(loaded)
            return admission.create_vps(vps, wallet, loaded.of(PRICES), rooms, LIMITS, command, now)

        refs: list[AggregateRef[Any]] = [vps_ref(vps_id), self.wallet, self.host, self.reserved, PRICES]
        return await self.execute(refs, decide, aggregates)

    async def ask(
        self, verb: str, vps_id: VpsId, aggregates: AggregateRepository | None = None, asked_by: TokenId | None = None
    ) -> CommandResult[None]:
        """Have a VPS started, stopped or deleted, as its owner does, or one of the owner's tokens."""
        ref = vps_ref(vps_id)

        def decide(loaded: Loaded, now: Instant) -> Decision:
            vps, wallet = loaded.of(ref), loaded.of(self.wallet)
            match verb:
                case "start":
                    book, rooms = loaded.of(PRICES), self.rooms(loaded)
                    return admission.start_vps(vps, wallet, book, rooms, self.account_id, now, asked_by=asked_by)
                case "stop":
                    return admission.stop_vps(vps, wallet, self.account_id, now)
                case _:
                    return admission.delete_vps(vps, wallet, self.account_id, now)

        return await self.execute([ref, self.wallet, self.host, self.reserved, PRICES], decide, aggregates)

    def rooms(self, loaded: Loaded) -> tuple[Room, ...]:
        """Return the room of the one host."""
        host = loaded.of(self.host)
        assert host is not None
        return (Room(host, loaded.of(self.reserved), cpu_percent=100, disk_percent=100),)

    async def create_token(self, limit: int, window: LimitWindow, expires_at: int | None) -> TokenId:
        """Make a token with a limit."""
        token_id = TokenId(self.ids.new())
        command = CreateToken(
            account_id=self.account_id,
            token_id=token_id,
            name="ci",
            secret_digest=token_id.bytes.hex() * 2,
            scopes=("vps:write",),
            spend_limit=MicroUsd(limit),
            limit_window=window,
            expires_at=None if expires_at is None else Instant(expires_at),
        )
        refs: list[AggregateRef[Any]] = [token_ref(token_id), self.wallet]
        await self.execute(refs, lambda loaded, now: tokens.create(loaded.of(self.wallet), command, now))
        return token_id

    async def revoke_token(self, token_id: TokenId) -> None:
        ref, command = token_ref(token_id), RevokeToken(self.account_id, token_id)
        await self.execute([ref, self.wallet], lambda loaded, now: tokens.revoke(loaded.of(ref), command, now))

    async def take_step(self, vps_id: VpsId, *, start_id: str, fails: bool = False) -> CommandResult[None]:
        """Record that the next step of a VPS was done, or came to nothing."""
        ref = vps_ref(vps_id)
        step = next_step(await self.vps(vps_id))
        assert step is not None
        off_at = self.clock.now()
        if step.name in ("halt", "remove"):
            await self.tick()

        def decide(loaded: Loaded, now: Instant) -> Decision:
            vps, wallet, host, book = loaded.of(ref), loaded.of(self.wallet), loaded.of(self.host), loaded.of(PRICES)
            assert host is not None
            if fails:
                return outcomes.failed(vps, wallet, step, "a test", now)
            match step.name:
                case "prepare":
                    return outcomes.prepared(vps, step, "ssh-ed25519 AAAA", now)
                case "launch":
                    return outcomes.launched(vps, step, start_id, now)
                case "login":
                    return outcomes.came_up(vps, wallet, step, now)
                case "halt":
                    return outcomes.went_off(vps, wallet, host, loaded.of(self.reserved), book, step, off_at)
                case "remove":
                    return outcomes.removed(vps, wallet, host, loaded.of(self.reserved), book, step, off_at)
                case _:
                    raise AssertionError(step.name)

        return await self.execute([ref, self.wallet, self.host, self.reserved, PRICES], decide)

    async def observe(self, guests: Sequence[GuestSeen], collected_at: Instant) -> CommandResult[None]:
        """Record what the host showed; nothing where that was recorded before."""
        seen = HostObservation(collected_at=collected_at, boot_id="boot", guests=tuple(guests))

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            host = loaded.of(self.host)
            assert host is not None
            return recorded_in(self.host.stream, *hosts.observe(host, seen))

        return await self.execute([self.host], decide)

    async def find_off(self, vps_id: VpsId, collected_at: Instant) -> CommandResult[None]:
        """Record that the host showed a VPS off that should run."""
        ref = vps_ref(vps_id)
        differed = HostDiffered(self.host_id, vps_id, "off", "recorded-off", collected_at)
        await self.tick()

        def decide(loaded: Loaded, _now: Instant) -> Decision:
            host = loaded.of(self.host)
            assert host is not None
            wallet, reserved, book = loaded.of(self.wallet), loaded.of(self.reserved), loaded.of(PRICES)
            return outcomes.found_off(loaded.of(ref), wallet, host, reserved, book, differed, "lost", shown_off=True)

        return await self.execute([ref, self.wallet, self.host, self.reserved, PRICES], decide)

    async def tick(self, aggregates: AggregateRepository | None = None) -> None:
        """Settle what is due."""
        await settle_account(aggregates or self.aggregates, self.account_id)

    async def vps(self, vps_id: VpsId) -> Vps | None:
        ref = vps_ref(vps_id)
        return (await self.aggregates.load(ref)).of(ref)

    async def wallet_now(self) -> Wallet:
        return (await self.aggregates.load(self.wallet)).of(self.wallet)

    async def execute(
        self, refs: list[AggregateRef[Any]], decide: Decide, aggregates: AggregateRepository | None = None
    ) -> CommandResult[None]:
        context = CommandContext(actor=Actor(kind="service", part="test"), account_id=self.account_id)
        return await (aggregates or self.aggregates).execute(refs, decide, context)

    def _in_wallet(self, *events: Event) -> Decision:
        return recorded_in(wallet_stream(self.account_id), *events)


def new_credit_id() -> UUID:
    """Return an id for a credit."""
    return uuid4()
