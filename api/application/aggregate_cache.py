"""Aggregate cache: states kept in memory, made current at each read by the events that came since."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from domain.codec import accounts_of, decode, with_sealed_payload
from domain.deciding import AggregateRef, Fold
from domain.errors import InvariantBroken
from domain.events import Event
from domain.ids import StreamId
from domain.ports import EventStore, Recorded, Sealer, Snapshots, may_be_cut

STATES_MAX = 20_000
STATES_BYTES_MAX = 64 * 1024 * 1024
"""How many states are kept, and how large they may be together as MessagePack, of which they take some times as much in
memory; beyond, the one unused for longest is dropped and read again when wanted."""
MEASURED_EVERY_EVENTS_MAX = 256
"""A state is measured when it is first kept, again when it has as many events more, and at the latest after so many."""
SNAPSHOT_EVERY_EVENTS = 50
"""About so much of a stream is read when it is first read after a start, whatever its age."""
TAIL_EVENTS_MAX = 2_000
"""About so much of one stream is read by one statement, and less where its events are large."""
FOLDED_AT_ONCE_CHARACTERS = 20_000
"""So much of a long history is folded before whoever waits gets a turn: a millisecond or so."""

_to_measure = msgspec.msgpack.Encoder(enc_hook=repr)


class CachedAggregate(msgspec.Struct, frozen=True, gc=False):
    """A state, and how many events of its stream are in it."""

    fold: Fold[Any]
    version: int
    state: Any


class AggregateCache:
    """A cache that is never stale: what it holds is only a head start for the read of the rest."""

    def __init__(self, store: EventStore, sealer: Sealer, snapshots: Snapshots | None) -> None:
        self._store = store
        self._sealer = sealer
        self._snapshots = snapshots
        self._kept: OrderedDict[StreamId, CachedAggregate] = OrderedDict()
        self._measured: dict[StreamId, tuple[int, int]] = {}
        """Of each state that is kept its size in bytes, and at which version it was measured."""
        self._size_bytes = 0
        self._snapshotted: dict[StreamId, int] = {}
        self._forgotten = 0
        """How often everything was forgotten: what is being read from before is not kept."""

    def forget(self) -> None:
        """Keep no state that was folded up to now."""
        self._forgotten += 1
        self._kept.clear()
        self._measured.clear()
        self._size_bytes = 0

    async def read(self, refs: Sequence[AggregateRef[Any]]) -> dict[StreamId, CachedAggregate]:
        """Return the state of each reference at one moment, in one round trip for what is in memory already."""
        forgotten = self._forgotten
        cached, cold = await self._head_starts(refs)
        if cold:
            await self._fold_long(cached, cold)
        while True:
            tail = await self._store.read_streams([(stream, folded.version) for stream, folded in cached.items()])
            if tail:
                await self._sealer.load(accounts_of(with_sealed_payload(tail)))
                await self._fold_tail(cached, tail)
            # The last read is of all streams and gives all that is left: it is at its moment that they are seen.
            if not may_be_cut(tail):
                break
        for stream, folded in cached.items():
            if forgotten == self._forgotten:
                self._keep_newer(stream, folded)
        await self._save_snapshots(cached)
        return cached

    def advance(
        self, cached: dict[StreamId, CachedAggregate], events: Sequence[tuple[StreamId, Event]]
    ) -> dict[StreamId, CachedAggregate]:
        """Return the states after events that were recorded right behind what was seen, and keep them."""
        after = dict(cached)
        for stream, event in events:
            after[stream] = apply_event(after[stream], event)
        for stream in {stream for stream, _ in events}:
            # What is not kept any more was forgotten or dropped since it was read, and stays so.
            if stream in self._kept:
                self._keep_newer(stream, after[stream])
        return after

    async def _head_starts(
        self, refs: Sequence[AggregateRef[Any]]
    ) -> tuple[dict[StreamId, CachedAggregate], list[StreamId]]:
        """Return what to start from, and which streams were not in memory."""
        cached: dict[StreamId, CachedAggregate] = {}
        cold: list[StreamId] = []
        missing: dict[StreamId, Fold[Any]] = {}
        for ref in refs:
            kept = self._kept.get(ref.stream)
            if kept is not None and kept.fold is ref.fold:
                self._kept.move_to_end(ref.stream)
                cached[ref.stream] = kept
            else:
                cached[ref.stream] = CachedAggregate(ref.fold, 0, ref.fold.initial)
                cold.append(ref.stream)
                if ref.fold.snapshot is not None:
                    missing[ref.stream] = ref.fold
        if self._snapshots is not None and missing:
            for stream, (version, stored) in (await self._snapshots.load_snapshots(missing.keys())).items():
                self._snapshotted[stream] = version
                kind, _, state = stored.partition(b"\n")
                fold = missing[stream]
                if fold.snapshot is not None and kind == _kind(fold):
                    cached[stream] = CachedAggregate(fold, version, msgspec.msgpack.decode(state, type=fold.snapshot))
        return cached, cold

    async def _fold_long(self, cached: dict[StreamId, CachedAggregate], cold: list[StreamId]) -> None:
        """Fold long histories in parts, but for their ends: as a whole they are no statement to wait for."""
        for stream, last in (await self._store.versions(cold)).items():
            while last - (after := cached[stream].version) > TAIL_EVENTS_MAX:
                part = await self._store.read_stream(stream, after, after + TAIL_EVENTS_MAX)
                await self._sealer.load(accounts_of(with_sealed_payload(part)))
                await self._fold_tail(cached, part)

    async def _fold_tail(self, cached: dict[StreamId, CachedAggregate], tail: list[Recorded]) -> None:
        characters = 0
        for recorded in tail:
            folded = cached[recorded.stream]
            if recorded.version != folded.version + 1:
                raise InvariantBroken(f"stream {recorded.stream} has a gap before version {recorded.version}")
            cached[recorded.stream] = apply_event(folded, decode(recorded, self._sealer))
            characters += len(recorded.payload)
            if characters > FOLDED_AT_ONCE_CHARACTERS:
                characters = 0
                await asyncio.sleep(0)

    async def _save_snapshots(self, cached: dict[StreamId, CachedAggregate]) -> None:
        if self._snapshots is None:
            return
        due = {stream: folded for stream, folded in cached.items() if self._is_snapshot_due(stream, folded)}
        if due:
            self._snapshotted |= {stream: folded.version for stream, folded in due.items()}
            await self._snapshots.save_snapshots(
                {stream: (folded.version, stored_state(folded)) for stream, folded in due.items()}
            )

    def _is_snapshot_due(self, stream: StreamId, folded: CachedAggregate) -> bool:
        if folded.fold.snapshot is None or folded.version < SNAPSHOT_EVERY_EVENTS:
            return False
        # The first one at some version up to twice that, so that streams that grow in step have theirs in turn.
        last = self._snapshotted.get(stream, stream.int % SNAPSHOT_EVERY_EVENTS)
        return folded.version - last >= SNAPSHOT_EVERY_EVENTS

    def _keep_newer(self, stream: StreamId, folded: CachedAggregate) -> None:
        kept = self._kept.get(stream)
        if kept is not None and kept.fold is folded.fold and kept.version > folded.version:
            return
        if folded.fold.has_ended is not None and folded.fold.has_ended(folded.state):
            self._drop(stream)
            return
        self._kept[stream] = folded
        self._kept.move_to_end(stream)
        self._measure(stream, folded)
        # The last one stays, however large: it is wanted now.
        while len(self._kept) > STATES_MAX or (self._size_bytes > STATES_BYTES_MAX and len(self._kept) > 1):
            self._drop(next(iter(self._kept)))

    def _measure(self, stream: StreamId, folded: CachedAggregate) -> None:
        size_bytes, version = self._measured.get(stream, (0, 0))
        if version <= folded.version < version + min(version, MEASURED_EVERY_EVENTS_MAX):
            return
        measured = len(_to_measure.encode(folded.state))
        self._size_bytes += measured - size_bytes
        self._measured[stream] = (measured, folded.version)

    def _drop(self, stream: StreamId) -> None:
        self._kept.pop(stream, None)
        self._size_bytes -= self._measured.pop(stream, (0, 0))[0]
        self._snapshotted.pop(stream, None)


def apply_event(folded: CachedAggregate, event: Event) -> CachedAggregate:
    """Return a state with one more event of its stream in it."""
    return CachedAggregate(folded.fold, folded.version + 1, folded.fold.evolve(folded.state, event))


def stored_state(folded: CachedAggregate) -> bytes:
    """Return a state as it is kept in a snapshot; its fold must have them."""
    return _kind(folded.fold) + b"\n" + msgspec.msgpack.encode(folded.state)


def _kind(fold: Fold[Any]) -> bytes:
    assert fold.snapshot is not None
    return f"{fold.snapshot.__module__}.{fold.snapshot.__qualname__}:{fold.snapshot_version}".encode()
