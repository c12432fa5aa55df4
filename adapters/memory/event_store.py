"""The event store in memory: what PostgreSQL does for the real one, in dictionaries."""

import asyncio
import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from domain.appends import Span, check_claims, minute_spans, version_spans
from domain.ids import StreamId
from domain.leaf_hash import leaf_hash
from domain.ports import (
    READ_BYTES_MAX,
    Append,
    Appended,
    Claim,
    ClaimTaken,
    Clock,
    MinuteTaken,
    Recorded,
    VersionConflict,
)
from domain.time import Instant


class MemoryEventStore:
    """Implements ``domain.ports.EventStore`` for one process and one event loop; forgets all when dropped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[Recorded] = []
        self._streams: defaultdict[UUID, list[Recorded]] = defaultdict(list)
        self._claims: dict[tuple[str, bytes], Claim] = {}
        self._minute_heads: dict[UUID, int] = {}
        self._snapshots: dict[UUID, tuple[int, bytes]] = {}
        self._recorded_at = Instant(0)
        self._grown = asyncio.Event()

    async def append(self, append: Append) -> Appended:
        """Record all of it or none; see ``EventStore.append``."""
        versions, minutes = version_spans(append.events), minute_spans(append.minutes)
        check_claims(append)
        recorded_at = Instant(max(self._recorded_at, self._clock.now()))
        self._check(append, versions, minutes, recorded_at)

        self._recorded_at = recorded_at
        first_position = len(self._events) + 1
        for event in append.events:
            self._record(
                Recorded(
                    position=(position := len(self._events) + 1),
                    stream=event.stream,
                    version=event.version,
                    type=event.type,
                    payload=event.payload,
                    metadata=event.metadata,
                    happened_at=event.happened_at,
                    recorded_at=recorded_at,
                    leaf_hash=leaf_hash(
                        position,
                        event.stream,
                        event.version,
                        event.type,
                        event.happened_at,
                        recorded_at,
                        event.metadata,
                        event.payload,
                    ),
                )
            )
        for release in append.releases:
            self._claims.pop(release, None)
        self._claims.update({(claim.scope, claim.key): claim for claim in append.claims})
        self._minute_heads.update({vps: span.last for vps, span in minutes.items()})
        self._wake()
        await asyncio.sleep(0)
        return Appended(first_position, first_position + len(append.events) - 1, recorded_at)

    async def read_streams(self, after: Sequence[tuple[UUID, int]]) -> list[Recorded]:
        """Return the events of each stream past the version told; see ``EventStore.read_streams``."""
        await asyncio.sleep(0)
        least: dict[UUID, int] = {}
        for stream, version in after:
            least[stream] = min(version, least.get(stream, version))
        tails = []
        for stream, version in least.items():
            events = self._streams.get(stream, [])
            tails.append(events[bisect_left(events, version + 1, key=_version) :])
        found = _first_of(heapq.merge(*tails, key=_position))
        # An answer is old by the time it arrives: what others append meanwhile must be met with a conflict.
        await asyncio.sleep(0)
        return found

    async def versions(self, streams: Collection[StreamId]) -> dict[StreamId, int]:
        """Return the last version of each of these streams that has any event."""
        await asyncio.sleep(0)
        return {stream: self._streams[stream][-1].version for stream in streams if self._streams.get(stream)}

    async def read_stream(self, stream: UUID, after: int, until: int) -> list[Recorded]:
        """Return the events of one stream past ``after`` up to ``until``; see ``EventStore.read_stream``."""
        await asyncio.sleep(0)
        return _first_of(event for event in self._streams.get(stream, []) if after < event.version <= until)

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        """Return the events past a position, in order, none left out; see ``EventStore.read_feed``."""
        await asyncio.sleep(0)
        return _first_of(self._events[max(after, 0) : max(after, 0) + limit])

    async def head(self) -> int:
        """Return the last position, 0 in an empty store."""
        await asyncio.sleep(0)
        return len(self._events)

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the head."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._events) <= position:
                    await self._grown.wait()
        except TimeoutError:
            pass
        return len(self._events)

    async def find_claim(self, scope: str, key: bytes) -> Claim | None:
        """Return who holds a claim that has not expired."""
        await asyncio.sleep(0)
        return self._live_claim(scope, key, Instant(max(self._recorded_at, self._clock.now())))

    async def load_snapshots(self, streams: Collection[StreamId]) -> dict[StreamId, tuple[int, bytes]]:
        """Return, of those streams that have one, the version and the state that were kept last."""
        return {stream: self._snapshots[stream] for stream in streams if stream in self._snapshots}

    async def save_snapshots(self, snapshots: Mapping[StreamId, tuple[int, bytes]]) -> None:
        """Keep states, unless those of later versions are kept. A cache: may be lost at any time."""
        for stream, (version, state) in snapshots.items():
            kept = self._snapshots.get(stream)
            if kept is None or kept[0] < version:
                self._snapshots[stream] = (version, state)

    async def delete_snapshots(self) -> None:
        """Forget every snapshot, which changes no result."""
        self._snapshots.clear()

    async def sweep_claims(self, at_most: int = 1000) -> int:
        """Delete claims that have expired; return how many."""
        expired = [name for name, claim in self._claims.items() if _is_over(claim, self._recorded_at)][:at_most]
        for name in expired:
            del self._claims[name]
        return len(expired)

    def _check(self, append: Append, versions: dict[UUID, Span], minutes: dict[UUID, Span], now: Instant) -> None:
        for stream, span in versions.items():
            events = self._streams.get(stream)
            if span.first - 1 != (events[-1].version if events else 0):
                raise VersionConflict
        for claim in append.claims:
            if (claim.scope, claim.key) not in append.releases and self._live_claim(claim.scope, claim.key, now):
                raise ClaimTaken(claim.scope, claim.key)
        for vps, span in minutes.items():
            if span.first - 1 != self._minute_heads.get(vps, 0):
                raise MinuteTaken

    def _live_claim(self, scope: str, key: bytes, now: Instant) -> Claim | None:
        claim = self._claims.get((scope, key))
        return None if claim is None or _is_over(claim, now) else claim

    def _record(self, event: Recorded) -> None:
        self._events.append(event)
        self._streams[event.stream].append(event)

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


def _is_over(claim: Claim, now: Instant) -> bool:
    return claim.expires_at is not None and claim.expires_at <= now


def _first_of(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the first of some events, no more once they have ``READ_BYTES_MAX`` together."""
    first: list[Recorded] = []
    size = 0
    for event in events:
        if size >= READ_BYTES_MAX:
            break
        first.append(event)
        size += len(event.payload.encode()) + len(event.metadata.encode())
    return first


def _version(event: Recorded) -> int:
    return event.version


def _position(event: Recorded) -> int:
    return event.position
