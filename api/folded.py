"""Folded streams: states kept in memory, made current at each read by the events that came since."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from domain.codec import accounts_of, decode, with_sealed_payload
from domain.deciding import Fold, View
from domain.events import Event
from domain.ids import StreamId
from domain.ports import EventStore, Recorded, Sealer, Snapshots

STATES_MAX = 20_000
"""How many states are kept; beyond, the one unused for longest is dropped and read again when wanted."""
SNAPSHOT_EVERY_EVENTS = 500


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A state, and how many events of its stream are in it."""

    fold: Fold[Any]
    version: int
    state: Any


class FoldedStreams:
    """A cache that is never stale: what it holds is only a head start for the read of the rest."""

    def __init__(self, store: EventStore, sealer: Sealer, snapshots: Snapshots | None) -> None:
        self._store = store
        self._sealer = sealer
        self._snapshots = snapshots
        self._kept: OrderedDict[StreamId, Folded] = OrderedDict()
        self._snapshotted: dict[StreamId, int] = {}

    async def read(self, views: Sequence[View[Any]]) -> dict[StreamId, Folded]:
        """Return the present state of each view, in one round trip for what is in memory already."""
        seen = {view.stream: await self._head_start(view) for view in views}
        tail = await self._store.read_streams([(stream, folded.version) for stream, folded in seen.items()])
        if tail:
            await self._sealer.load(accounts_of(with_sealed_payload(tail)))
            self._fold_tail(seen, tail)
        for stream, folded in seen.items():
            await self._keep(stream, folded)
        return seen

    def advance(self, seen: dict[StreamId, Folded], events: Sequence[tuple[StreamId, Event]]) -> dict[StreamId, Folded]:
        """Return the states after events that were recorded right behind what was seen, and keep them."""
        after = dict(seen)
        for stream, event in events:
            after[stream] = step(after[stream], event)
        for stream in {stream for stream, _ in events}:
            self._keep_newer(stream, after[stream])
        return after

    async def _head_start(self, view: View[Any]) -> Folded:
        kept = self._kept.get(view.stream)
        if kept is not None and kept.fold is view.fold:
            self._kept.move_to_end(view.stream)
            return kept
        return await self._from_snapshot(view) or Folded(view.fold, 0, view.fold.initial)

    async def _from_snapshot(self, view: View[Any]) -> Folded | None:
        if self._snapshots is None or view.fold.snapshot is None:
            return None
        found = await self._snapshots.load_snapshot(view.stream)
        if found is None:
            return None
        version, stored = found
        self._snapshotted[view.stream] = version
        kind, _, state = stored.partition(b"\n")
        if kind != _kind(view.fold):
            return None
        return Folded(view.fold, version, msgspec.msgpack.decode(state, type=view.fold.snapshot))

    def _fold_tail(self, seen: dict[StreamId, Folded], tail: list[Recorded]) -> None:
        for recorded in tail:
            folded = seen[recorded.stream]
            assert recorded.version == folded.version + 1, f"stream {recorded.stream} has a gap"
            seen[recorded.stream] = step(folded, decode(recorded, self._sealer))

    async def _keep(self, stream: StreamId, folded: Folded) -> None:
        self._keep_newer(stream, folded)
        if self._snapshots is None or folded.fold.snapshot is None:
            return
        if folded.version - self._snapshotted.get(stream, 0) >= SNAPSHOT_EVERY_EVENTS:
            self._snapshotted[stream] = folded.version
            await self._snapshots.save_snapshot(stream, folded.version, stored_state(folded))

    def _keep_newer(self, stream: StreamId, folded: Folded) -> None:
        kept = self._kept.get(stream)
        if kept is None or kept.fold is not folded.fold or kept.version <= folded.version:
            self._kept[stream] = folded
            self._kept.move_to_end(stream)
        while len(self._kept) > STATES_MAX:
            dropped, _ = self._kept.popitem(last=False)
            self._snapshotted.pop(dropped, None)


def step(folded: Folded, event: Event) -> Folded:
    """Return a state with one more event of its stream in it."""
    return Folded(folded.fold, folded.version + 1, folded.fold.evolve(folded.state, event))


def stored_state(folded: Folded) -> bytes:
    """Return a state as it is kept in a snapshot; its fold must have them."""
    return _kind(folded.fold) + b"\n" + msgspec.msgpack.encode(folded.state)


def _kind(fold: Fold[Any]) -> bytes:
    assert fold.snapshot is not None
    return f"{fold.snapshot.__module__}.{fold.snapshot.__qualname__}:{fold.snapshot_version}".encode()
