"""The ledger reads, replays, decides and appends: current on every process, once however often it races."""

import asyncio

import pytest

from adapters.ids import TimeOrderedIds
from adapters.memory.event_store import MemoryEventStore
from adapters.sealing.key_tables import MemoryKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from adapters.simulated.clock import ManualClock
from api.application.aggregate_cache import SNAPSHOT_EVERY_EVENTS
from api.application.repository import AggregateRepository, CommandContext, CommandResult, Loaded
from domain.accounts.events import SshKeyAdded
from domain.codec import decode
from domain.deciding import NOTHING, AggregateRef, Decision, Fold, recorded_in
from domain.errors import Refusal
from domain.events import Actor, Event
from domain.ids import AccountId, SshKeyId, StreamId
from domain.money import ZERO, MicroUsd
from domain.ports import Claim, ClaimTaken, EventStore
from domain.time import Instant
from domain.wallet.events import FundsCredited, WalletOpened
from domain.wallet.wallet import FOLD as WALLET

pytestmark = pytest.mark.anyio
IDS = TimeOrderedIds()


class TooMany(Refusal):
    """A no, for these tests."""

    code = "too_many"
    sentence = "too many"


class Room:
    """One store, and as many ledgers over it as there would be processes."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.store = MemoryEventStore(clock)
        self.sealer = AccountSealer(MasterKey(b"k" * 32), MemoryKeyTable())
        self._clock = clock

    def aggregates(self, store: EventStore | None = None) -> AggregateRepository:
        return AggregateRepository(store or self.store, self.sealer, self._clock, IDS, snapshots=self.store)


def count(total: int, event: Event) -> int:
    return total + isinstance(event, WalletOpened)


COUNT: Fold[int] = Fold(initial=0, evolve=count)


def counted() -> AggregateRef[int]:
    return AggregateRef(StreamId(IDS.new()), COUNT)


def nobody() -> CommandContext:
    return CommandContext(actor=Actor("service", part="test"))


async def open_one(
    aggregates: AggregateRepository, ref: AggregateRef[int], *, at_most: int = 1000
) -> CommandResult[None]:
    def decide(loaded: Loaded, now: Instant) -> Decision:
        if loaded.of(ref) >= at_most:
            raise TooMany
        return recorded_in(ref.stream, WalletOpened(account_id=AccountId(ref.stream)))

    return await aggregates.execute([ref], decide, nobody())


async def test_what_one_process_records_the_next_read_of_another_sees() -> None:
    room, ref = Room(), counted()
    here, there = room.aggregates(), room.aggregates()
    assert (await there.load(ref)).of(ref) == 0

    outcome = await open_one(here, ref)

    assert outcome.loaded.of(ref) == 1
    assert (await there.load(ref)).of(ref) == 1


async def test_of_a_hundred_at_once_over_two_processes_just_those_that_fit_are_recorded() -> None:
    room, ref = Room(), counted()
    ledgers = [room.aggregates(), room.aggregates()]

    answers = await asyncio.gather(
        *(open_one(ledgers[i % 2], ref, at_most=10) for i in range(100)), return_exceptions=True
    )

    assert sum(isinstance(answer, CommandResult) for answer in answers) == 10
    assert sum(isinstance(answer, TooMany) for answer in answers) == 90
    assert await room.store.head() == 10


async def test_each_of_many_that_begin_a_stream_and_count_it_in_a_shared_one_has_its_turn() -> None:
    room, shared = Room(), counted()
    aggregates = room.aggregates()

    async def begin_one() -> CommandResult[None]:
        own = counted()
        opened = WalletOpened(account_id=AccountId(own.stream))
        return await aggregates.execute(
            [own, shared],
            # The stream that is its own comes first: nobody may wait for that one alone.
            lambda _loaded, _now: Decision(events=((own.stream, opened), (shared.stream, opened))),
            nobody(),
        )

    await asyncio.gather(*(begin_one() for _ in range(300)))

    assert (await aggregates.load(shared)).of(shared) == 300


async def test_whoever_comes_last_does_not_overtake_those_who_wait() -> None:
    room, ref = Room(), counted()
    aggregates = room.aggregates()
    done: list[int] = []

    async def open_numbered(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        await open_one(aggregates, ref)
        done.append(number)

    await asyncio.gather(*(open_numbered(number) for number in range(60)))

    # Those that came before anybody had to wait all tried at once; later ones keep the order.
    assert done[30:] == sorted(done[30:])


async def test_a_refusal_and_a_decision_for_nothing_record_nothing() -> None:
    room, ref = Room(), counted()
    aggregates = room.aggregates()

    with pytest.raises(TooMany):
        await open_one(aggregates, ref, at_most=0)
    outcome = await aggregates.execute([ref], lambda _loaded, _now: NOTHING, nobody())

    assert (outcome.events, outcome.last_position) == ((), 0)
    assert await room.store.head() == 0


async def test_a_claim_that_is_taken_is_told_and_nothing_of_its_append_is_recorded() -> None:
    room, ref, other = Room(), counted(), counted()
    aggregates = room.aggregates()

    def claiming(ref: AggregateRef[int]) -> Decision:
        opened = WalletOpened(account_id=AccountId(ref.stream))
        return Decision(events=((ref.stream, opened),), claims=(Claim("email", b"key", ref.stream),))

    await aggregates.execute([ref], lambda _loaded, _now: claiming(ref), nobody())
    with pytest.raises(ClaimTaken):
        await aggregates.execute([other], lambda _loaded, _now: claiming(other), nobody())

    assert (await aggregates.load(other)).of(other) == 0


async def test_personal_text_is_sealed_in_the_store_and_clear_in_the_fold() -> None:
    room = Room()
    account = AccountId(IDS.new())
    names: Fold[tuple[str, ...]] = Fold(
        initial=(), evolve=lambda seen, event: (*seen, event.name) if isinstance(event, SshKeyAdded) else seen
    )
    ref = AggregateRef(StreamId(IDS.new()), names)
    added = SshKeyAdded(
        account_id=account,
        ssh_key_id=SshKeyId(IDS.new()),
        name="my laptop",
        public_key="ssh-ed25519 AAAA me@home",
        fingerprint="SHA256:x",
        at=Instant(1),
    )
    context = CommandContext(actor=Actor("account", account), account_id=account, address="192.0.2.7")

    await room.aggregates().execute([ref], lambda _loaded, _now: recorded_in(ref.stream, added), context)

    (stored,) = await room.store.read_feed(0, 10)
    assert not any(text in stored.payload + stored.metadata for text in ("my laptop", "me@home", "192.0.2.7"))
    assert decode(stored, room.sealer) == added
    assert (await room.aggregates().load(ref)).of(ref) == ("my laptop",)


async def test_a_long_stream_starts_from_its_snapshot_and_comes_to_the_same_without() -> None:
    room = Room()
    account = AccountId(IDS.new())
    ref = AggregateRef(StreamId(IDS.new()), WALLET)
    context = CommandContext(actor=Actor("service", part="test"), account_id=account)
    credit = FundsCredited(account, IDS.new(), MicroUsd(7), "for the test")
    aggregates = room.aggregates()
    fifty = recorded_in(ref.stream, *[credit] * 50)
    for _ in range(12):
        await aggregates.execute([ref], lambda _loaded, _now: fifty, context)
    version, _ = (await room.store.load_snapshots([ref.stream]))[ref.stream]
    assert version >= SNAPSHOT_EVERY_EVENTS

    with_snapshot = (await room.aggregates().load(ref)).of(ref)
    without = AggregateRepository(room.store, room.sealer, ManualClock(), IDS, snapshots=None)

    assert (await without.load(ref)).of(ref) == with_snapshot
    assert with_snapshot.balance == 600 * 7 > ZERO


async def test_a_long_history_is_folded_in_parts_and_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    room, ref = Room(), counted()
    many = recorded_in(ref.stream, *[WalletOpened(account_id=AccountId(ref.stream))] * 100)
    await room.aggregates().execute([ref], lambda _loaded, _now: many, nobody())
    monkeypatch.setattr("api.application.aggregate_cache.TAIL_EVENTS_MAX", 7)

    loaded = await room.aggregates().load(ref)

    assert (loaded.of(ref), loaded.version(ref.stream)) == (100, 100)


async def test_what_was_just_read_is_decided_about_and_read_again_only_if_it_moved_on() -> None:
    room, ref = Room(), counted()
    aggregates = room.aggregates()
    seen = await aggregates.load(ref)
    sights: list[int] = []

    def one_more(loaded: Loaded, _now: Instant) -> Decision:
        sights.append(loaded.of(ref))
        return recorded_in(ref.stream, WalletOpened(account_id=AccountId(ref.stream)))

    await aggregates.execute([ref], one_more, nobody(), loaded=seen)
    await aggregates.execute([ref], one_more, nobody(), loaded=seen)

    assert sights == [0, 0, 1]
    assert (await aggregates.load(ref)).of(ref) == 2


class Kept:
    """Keeps the outcome of a command under a key, and remembers what it was asked to keep."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.asked: list[int] = []

    def claims(self, result: int, now: Instant) -> tuple[Claim, ...]:
        self.asked.append(result)
        return (Claim("once", self.key, StreamId(IDS.new()), str(result).encode()),)


async def test_a_result_is_made_of_the_states_as_the_decision_leaves_them_and_kept_in_the_same_append() -> None:
    room, ref = Room(), counted()
    kept = Kept(b"first")

    executed = await room.aggregates().execute(
        [ref],
        lambda loaded, now: recorded_in(ref.stream, WalletOpened(account_id=AccountId(ref.stream))),
        nobody(),
        result=lambda decided: decided.loaded.of(ref) + len(decided.events),
        once=kept,
    )

    claim = await room.store.find_claim("once", b"first")
    assert (executed.result, kept.asked) == (2, [2])
    assert claim is not None
    assert claim.kept == b"2"


async def test_of_one_command_at_once_on_two_processes_one_outcome_is_kept_and_one_recorded() -> None:
    room, ref = Room(), counted()
    wallet = recorded_in(ref.stream, WalletOpened(account_id=AccountId(ref.stream)))

    async def send(aggregates: AggregateRepository) -> CommandResult[int]:
        return await aggregates.execute(
            [ref], lambda loaded, now: wallet, nobody(), result=lambda decided: decided.loaded.of(ref), once=Kept(b"k")
        )

    answers = await asyncio.gather(send(room.aggregates()), send(room.aggregates()), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["ClaimTaken", "CommandResult"]
    assert await room.store.head() == 1


async def test_what_came_to_nothing_is_kept_as_well() -> None:
    room, ref = Room(), counted()

    executed = await room.aggregates().execute(
        [ref], lambda loaded, now: NOTHING, nobody(), result=lambda decided: len(decided.events), once=Kept(b"none")
    )

    assert (executed.result, executed.events) == (0, ())
    assert await room.store.find_claim("once", b"none") is not None
