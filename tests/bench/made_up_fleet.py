"""A made-up fleet: accounts whose VPSs run, brought there by the domain's own decisions and appended in bulk."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import cache, reduce
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from adapters.sealing.key_tables import PostgresKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from api.application.repository import AggregateRepository, CommandContext, Loaded
from domain.accounts.account import register
from domain.accounts.commands import RegisterAccount
from domain.codec import encode
from domain.compute import host as hosts
from domain.compute import outcomes
from domain.compute.admission import create_vps
from domain.compute.capacity import Reservations, Room
from domain.compute.commands import CreateVps
from domain.compute.events import HostRegistered
from domain.compute.host import Host, host_ref
from domain.compute.ports import GuestSeen, HostObservation
from domain.compute.steps import Step, next_step
from domain.compute.vps import FOLD as VPS
from domain.compute.vps import Vps
from domain.deciding import Decision, recorded_in
from domain.events import Actor, Metadata
from domain.ids import PRICING_STREAM, AccountId, HostId, StreamId, VpsId, host_stream, vps_stream, wallet_stream
from domain.money import MicroUsd
from domain.ports import Append, Claim, EventStore, Ids, NewEvent, Sealer
from domain.pricing.commands import DefinePlan
from domain.pricing.price_book import FOLD as PRICING
from domain.pricing.price_book import PriceBook, define_plan
from domain.time import MINUTE, Instant
from domain.wallet.commands import CreditFunds
from domain.wallet.funds import credit_funds
from domain.wallet.vps_limits import VpsLimits
from domain.wallet.wallet import FOLD as WALLET
from domain.wallet.wallet import Wallet
from tests.bench.made_up_ledger import BEGAN, HOURLY, PLAN

ACCOUNTS_AT_ONCE = 200
"""Accounts in one append."""
PORT_FROM = 20_000
LIMITS = VpsLimits(vps_max=1_000_000, vps_disk_gb_max=1_000_000)
FUNDS = MicroUsd(1_000_000_000)
CONTEXT = CommandContext(actor=Actor(kind="service", part="bench"))


class Fleet(msgspec.Struct, frozen=True):
    """How many accounts there are, how many VPSs each has, and over how many hosts these are spread."""

    accounts: int
    vpss_per_account: int
    hosts: int

    @property
    def vpss(self) -> int:
        """Return how many VPSs there are."""
        return self.accounts * self.vpss_per_account

    def account_id(self, number: int) -> AccountId:
        """Return the id of an account, counted from 0."""
        return AccountId(made_up_id("account", number))

    def vps_id(self, number: int) -> VpsId:
        """Return the id of a VPS; those of one account follow each other."""
        return VpsId(made_up_id("vps", number))

    def host_id(self, number: int) -> HostId:
        """Return the id of a host."""
        return HostId(made_up_id("host", number))

    def host_of(self, vps_number: int) -> int:
        """Return on which host a VPS is."""
        return vps_number % self.hosts


_KINDS = ("account", "vps", "host", "credit")


def made_up_id(kind: str, number: int) -> UUID:
    """Return an id that follows the one before it, as those made one after the other do."""
    return UUID(int=(_KINDS.index(kind) + 1 << 96) | (7 << 76) | (2 << 62) | number)


def founded(fleet: Fleet) -> Iterator[Decision]:
    """Yield what is decided before there is any account: the plan and the hosts."""
    command = DefinePlan(PLAN, "small", 1, 512, 10, HOURLY)
    yield recorded_in(PRICING_STREAM, *define_plan(PriceBook(), command, BEGAN))
    for number in range(fleet.hosts):
        yield recorded_in(host_stream(fleet.host_id(number)), _registered(fleet, number))


def arrived(fleet: Fleet, number: int, at: Instant = BEGAN) -> Iterator[Decision]:
    """Yield what is decided until all VPSs of an account run, from ``at`` on."""
    account_id = fleet.account_id(number)
    wallet = Wallet()
    asked = RegisterAccount(account_id, f"customer-{number}@example.com", _key(number), "$argon2id$v=19$" + "A" * 80)
    paid = CreditFunds(made_up_id("credit", number), FUNDS, "made up")
    for decision in (
        register(asked),
        recorded_in(wallet_stream(account_id), *credit_funds(Wallet(account_id=account_id), paid)),
    ):
        yield decision
        wallet = after(wallet, account_id, decision)
    first = number * fleet.vpss_per_account
    for vps_number in range(first, first + fleet.vpss_per_account):
        for decision in _switched_on(fleet, wallet, account_id, vps_number, at):
            yield decision
            wallet = after(wallet, account_id, decision)


def after(wallet: Wallet, account_id: AccountId, decision: Decision) -> Wallet:
    """Return an account's wallet after a decision."""
    mine = (event for stream, event in decision.events if stream == wallet_stream(account_id))
    return reduce(WALLET.evolve, mine, wallet)


async def fill(store: EventStore, sealer: Sealer, ids: Ids, fleet: Fleet) -> None:
    """Append the whole fleet to an empty store."""
    await store.append(appended(founded(fleet), sealer, ids, BEGAN))
    for first in range(0, fleet.accounts, ACCOUNTS_AT_ONCE):
        numbers = range(first, min(first + ACCOUNTS_AT_ONCE, fleet.accounts))
        await sealer.load([fleet.account_id(number) for number in numbers], create=True)
        decisions = (decision for number in numbers for decision in arrived(fleet, number))
        await store.append(appended(decisions, sealer, ids, BEGAN))


def appended(decisions: Iterable[Decision], sealer: Sealer, ids: Ids, now: Instant) -> Append:
    """Return decisions about streams that are new as one append."""
    versions: defaultdict[StreamId, int] = defaultdict(int)
    events: list[NewEvent] = []
    claims: list[Claim] = []
    for decision in decisions:
        owner = next((event.account_id for _, event in decision.events if hasattr(event, "account_id")), None)
        claims += decision.claims
        for stream, event in decision.events:
            versions[stream] += 1
            metadata = Metadata(id=ids.new(), actor=CONTEXT.actor, account_id=owner)  # type: ignore[arg-type]
            events.append(encode(stream, versions[stream], event, metadata, now, sealer))
    return Append(tuple(events), tuple(claims))


@asynccontextmanager
async def opened_sealer(url: str) -> AsyncIterator[AccountSealer]:
    """Give a sealer whose keys are in the database."""
    async with AsyncConnectionPool(url, min_size=1, open=False, kwargs={"autocommit": True}) as pool:
        yield AccountSealer(MasterKey(bytes(32)), PostgresKeyTable(pool))


async def observe(aggregates: AggregateRepository, fleet: Fleet, at: Instant) -> None:
    """Record that every host shows all of its VPSs running."""
    for number in range(fleet.hosts):
        seen = tuple(
            GuestSeen(fleet.vps_id(vps), 1, start_id(vps), True, at - BEGAN + MINUTE)
            for vps in range(number, fleet.vpss, fleet.hosts)
        )
        await _record(aggregates, fleet.host_id(number), HostObservation(collected_at=at, boot_id="boot", guests=seen))


async def _record(aggregates: AggregateRepository, host_id: HostId, observation: HostObservation) -> None:
    ref = host_ref(host_id)

    def decide(loaded: Loaded, _now: Instant) -> Decision:
        host = loaded.of(ref)
        assert host is not None
        return recorded_in(ref.stream, *hosts.observe(host, observation))

    await aggregates.execute([ref], decide, CONTEXT)


def start_id(vps_number: int) -> str:
    """Return the name of the one start of a VPS, as long as a real one."""
    return f"0d9f6a5e-7c41-4a64-8d0e-{vps_number:012x}/1"


def book_of(fleet: Fleet) -> PriceBook:
    """Return the prices of a fleet."""
    book = PriceBook()
    for decision in founded(fleet):
        for _, event in decision.events:
            book = PRICING.evolve(book, event)
    return book


def _switched_on(
    fleet: Fleet, wallet: Wallet, account_id: AccountId, vps_number: int, at: Instant
) -> Iterator[Decision]:
    vps_id, host_number = fleet.vps_id(vps_number), fleet.host_of(vps_number)
    vps: Vps | None = None
    while True:
        step = next_step(vps)
        if vps is None:
            # As placed before hosts had reservations, so that accounts can be appended in any order.
            room = _room(fleet, host_number, PORT_FROM + vps_number // fleet.hosts)
            command = _create(account_id, vps_id, vps_number)
            made = create_vps(None, wallet, _book(), (room,), LIMITS, command, at)
            decision = Decision(events=made.events[1:])
        elif step is None:
            return
        else:
            decision = _outcome(vps, wallet, step, start_id(vps_number), at)
        yield decision
        mine = (event for stream, event in decision.events if stream == vps_stream(vps_id))
        vps = reduce(VPS.evolve, mine, vps)
        wallet = after(wallet, account_id, decision)


def _outcome(vps: Vps, wallet: Wallet, step: Step, start: str, at: Instant) -> Decision:
    match step.name:
        case "prepare":
            return outcomes.prepared(vps, step, "ssh-ed25519 " + "A" * 68, at)
        case "launch":
            return outcomes.launched(vps, step, start, at)
        case "login":
            return outcomes.came_up(vps, wallet, step, at)
        case _:
            raise AssertionError(step.name)


def _create(account_id: AccountId, vps_id: VpsId, vps_number: int) -> CreateVps:
    return CreateVps(
        vps_id=vps_id,
        account_id=account_id,
        name=f"vps-{vps_number}",
        plan_id=PLAN,
        vcpu=1,
        memory_mb=512,
        disk_gb=10,
        image="lite",
    )


def _registered(fleet: Fleet, number: int) -> HostRegistered:
    return HostRegistered(fleet.host_id(number), f"host-{number}", "127.0.0.1", PORT_FROM, PORT_FROM + 9_999, None)


def _room(fleet: Fleet, number: int, port: int) -> Room:
    host = msgspec.structs.replace(_host(fleet, number), port_from=port, port_to=port)
    return Room(host, Reservations(), cpu_percent=100, disk_percent=100)


@cache
def _host(fleet: Fleet, number: int) -> Host:
    host = hosts.evolve(None, _registered(fleet, number))
    assert host is not None
    return host


@cache
def _book() -> PriceBook:
    return book_of(Fleet(0, 0, 0))


def _key(number: int) -> bytes:
    return b"e-mail" + number.to_bytes(26, "big")
