"""The ledger: the one place that reads streams, replays them, decides and appends."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

import msgspec

from api.application.aggregate_cache import AggregateCache, CachedAggregate, apply_event
from api.application.fail_points import fail_point
from api.application.once import Once
from api.application.stream_locks import StreamLocks
from domain.blobs import Blobs, KeptBlob
from domain.codec import encode, is_personal
from domain.deciding import AggregateRef, Decision
from domain.errors import Contended
from domain.events import Actor, Event, Metadata
from domain.ids import AccountId, EventId, StreamId
from domain.ports import (
    Append,
    Clock,
    EventStore,
    Ids,
    MinuteTaken,
    NewEvent,
    Sealer,
    Snapshots,
    VersionConflict,
)
from domain.time import MINUTE, Instant
from domain.wallet.minutes import minute_claims

S = TypeVar("S")
R = TypeVar("R")

ATTEMPTS_MAX = 100
"""How often a decision is made because a stream moved on meanwhile, which only other processes can do to one that has
its turn. Measured with a hundred requests at once on one wallet in each process: at the most 22 attempts with two
processes, 25 with four, 43 with eight."""

KEPT_AGAIN_AFTER = 30 * MINUTE
"""How long after a decision its append may come for its blobs not to be kept once more: they are swept after an hour,
and the machine may have slept in between."""


class CommandContext(msgspec.Struct, frozen=True):
    """Who asks, for whom, from where: what the metadata of every event of an execution tells."""

    actor: Actor
    account_id: AccountId | None = None
    """Whose events these are: under this account's key their personal fields are sealed."""
    request_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    cause: EventId | None = None
    step: str = ""
    """What is being done, such as ``create``: the name of the fail points around the append."""
    low_priority: bool = False
    """Whether nobody waits for it, so that what others ask for may come first."""

    @property
    def is_personal(self) -> bool:
        """Return whether the metadata tell of a person."""
        return self.address is not None or self.user_agent is not None


class Loaded:
    """What was loaded: the state of each aggregate at one moment."""

    def __init__(self, cached: dict[StreamId, CachedAggregate]) -> None:
        self._cached = cached

    def of(self, ref: AggregateRef[S]) -> S:
        """Return the state of an aggregate that was loaded."""
        state: S = self._cached[ref.stream].state
        return state

    def version(self, stream: StreamId) -> int:
        """Return how many events of the stream had been recorded."""
        return self._cached[stream].version

    def part(self, refs: Sequence[AggregateRef[Any]]) -> dict[StreamId, CachedAggregate]:
        """Return what was loaded of these, all of which were."""
        return {ref.stream: self._cached[ref.stream] for ref in refs}

    def after(self, decision: Decision) -> "Loaded":
        """Return what will be loaded once a decision about these is recorded."""
        cached = dict(self._cached)
        for stream, event in decision.events:
            cached[stream] = apply_event(cached[stream], event)
        return Loaded(cached)


class Decided(msgspec.Struct, frozen=True):
    """What was decided, and the states as that leaves them; nothing of it is recorded yet."""

    events: tuple[tuple[StreamId, Event], ...]
    at: Instant
    loaded: Loaded
    """The states of the views once the events are recorded."""


class CommandResult(msgspec.Struct, Generic[R], frozen=True):
    """What an execution came to. Where nothing was to be recorded, ``events`` is empty."""

    result: R
    """What ``result`` made of the decision; without it, the decision's own ``result``."""
    events: tuple[tuple[StreamId, Event], ...]
    event_ids: tuple[EventId, ...]
    last_position: int
    """The position of the last event; 0 where nothing was recorded."""
    at: Instant
    loaded: Loaded
    """The states of the aggregates afterwards."""


Decide = Callable[[Loaded, Instant], Decision]


class AggregateRepository:
    """Reads and changes the truth. Safe to share among tasks; any number of processes may have one."""

    def __init__(
        self,
        store: EventStore,
        sealer: Sealer,
        clock: Clock,
        ids: Ids,
        snapshots: Snapshots | None = None,
        blobs: Blobs | None = None,
    ) -> None:
        """``blobs``: where texts are kept that events only tell of; None where nothing is recorded that has any."""
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._ids = ids
        self._blobs = blobs
        self._streams = AggregateCache(store, sealer, snapshots)
        self._locks = StreamLocks()

    async def load(self, *refs: AggregateRef[Any]) -> Loaded:
        """Return the present states of these aggregates, in one round trip to the store."""
        return Loaded(await self._streams.read(refs))

    def forget(self) -> None:
        """Keep no state in memory that was read up to now, since something personal in it was erased."""
        self._streams.forget()

    @overload
    async def execute(
        self,
        refs: Sequence[AggregateRef[Any]],
        decide: Decide,
        context: CommandContext,
        *,
        loaded: Loaded | None = None,
    ) -> CommandResult[Any]: ...

    @overload
    async def execute(
        self,
        refs: Sequence[AggregateRef[Any]],
        decide: Decide,
        context: CommandContext,
        *,
        loaded: Loaded | None = None,
        result: Callable[[Decided], R],
        once: Once[R] | None = None,
    ) -> CommandResult[R]: ...

    async def execute(
        self,
        refs: Sequence[AggregateRef[Any]],
        decide: Decide,
        context: CommandContext,
        *,
        loaded: Loaded | None = None,
        result: Callable[[Decided], Any] | None = None,
        once: Once[Any] | None = None,
    ) -> CommandResult[Any]:
        """Decide over the aggregates and record what was decided; every stream recorded in must be among them.

        ``loaded``: what was just loaded of them, so that they need not be loaded for this alone. Where a
        stream moved on meanwhile, everything is read and decided again. ``result``: makes what the caller wants of
        the decision, before anything is recorded; ``once`` has it kept in the same append, even where nothing else
        is to be recorded. Raises the Refusal of ``decide`` or ``result``, ClaimTaken, or Contended after
        ``ATTEMPTS_MAX`` attempts; then nothing is recorded.
        """
        # Where others wait already, whoever comes last would only make the first of them decide once more.
        if wanted := self._locks.contended([ref.stream for ref in refs]):
            loaded = None
        attempts = 0
        while attempts < ATTEMPTS_MAX:
            # Whoever lost once waits for its turn among this process's own tasks, in every stream that it records
            # in, so that a hundred requests on one wallet meet a hundred appends and not thousands of conflicts.
            held = wanted
            async with self._locks.hold(held):
                while attempts < ATTEMPTS_MAX and wanted <= held:
                    executed, recorded_in = await self._attempt(refs, decide, context, loaded, result, once)
                    if executed is not None:
                        return executed
                    attempts, wanted, loaded = attempts + 1, wanted | recorded_in, None
        raise Contended()

    async def _attempt(
        self,
        refs: Sequence[AggregateRef[Any]],
        decide: Decide,
        context: CommandContext,
        loaded: Loaded | None,
        result: Callable[[Decided], Any] | None,
        once: Once[Any] | None,
    ) -> tuple[CommandResult[Any] | None, frozenset[StreamId]]:
        """Return what an attempt came to, None where a stream moved on; and the streams that it was to record in."""
        cached = await self._streams.read(refs) if loaded is None else loaded.part(refs)
        now = self._clock.now()
        decision = decide(Loaded(cached), now)
        if result is None:
            made = decision.result
        else:
            made = result(Decided(decision.events, now, Loaded(cached).after(decision)))
        if once is not None and (claims := once.claims(made, now)):
            decision = msgspec.structs.replace(decision, claims=(*decision.claims, *claims))
        if not decision.events and not decision.claims and not decision.releases:
            return CommandResult(made, (), (), 0, now, Loaded(cached)), frozenset()
        streams = frozenset(stream for stream, _ in decision.events)
        append, event_ids = await self._encoded(decision, cached, context, now)
        if decision.blobs:
            # First: an event tells of nothing that is not kept. What is kept and never told of is swept.
            fail_point(f"{context.step}:before-blobs")
            await self._keep(decision.blobs)
            fail_point(f"{context.step}:after-blobs")
        fail_point(f"{context.step}:before-append")
        try:
            appended = await self._store.append(append)
        except (VersionConflict, MinuteTaken):
            return None, streams
        if decision.blobs and self._clock.now() - now > KEPT_AGAIN_AFTER:
            await self._keep(decision.blobs)
        fail_point(f"{context.step}:after-append")
        after = self._streams.advance(cached, decision.events)
        return CommandResult(made, decision.events, event_ids, appended.last_position, now, Loaded(after)), streams

    async def _keep(self, blobs: Sequence[KeptBlob]) -> None:
        assert self._blobs is not None, "a ledger that records texts beside its events is given a place for them"
        await self._blobs.keep(blobs)

    async def _encoded(
        self, decision: Decision, cached: dict[StreamId, CachedAggregate], context: CommandContext, now: Instant
    ) -> tuple[Append, tuple[EventId, ...]]:
        personal = context.is_personal or any(is_personal(event) for _, event in decision.events)
        if personal and context.account_id is not None:
            await self._sealer.load([context.account_id], create=True)
        versions: dict[StreamId, int] = {}
        events: list[NewEvent] = []
        event_ids: list[EventId] = []
        for stream, event in decision.events:
            versions[stream] = version = versions.get(stream, cached[stream].version) + 1
            metadata = self._metadata(context)
            event_ids.append(metadata.id)
            events.append(encode(stream, version, event, metadata, now, self._sealer))
        # Derived here and nowhere else, so that no caller can forget that a minute is used only once.
        minutes = tuple(claim for _, event in decision.events for claim in minute_claims(event))
        append = Append(tuple(events), decision.claims, decision.releases, minutes, context.low_priority)
        return append, tuple(event_ids)

    def _metadata(self, context: CommandContext) -> Metadata:
        return Metadata(
            id=EventId(self._ids.new()),
            actor=context.actor,
            account_id=context.account_id,
            request_id=context.request_id,
            address=context.address,
            user_agent=context.user_agent,
            cause=context.cause,
        )
