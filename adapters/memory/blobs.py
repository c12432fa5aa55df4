"""Blobs, kept in memory."""

from collections.abc import Collection, Sequence

from domain.blobs import KeptBlob
from domain.ids import StreamId
from domain.ports import Clock, EventStore
from domain.time import Instant, seconds

SWEPT_AFTER = seconds(60 * 60)


class MemoryBlobs:
    """Implements ``domain.blobs.Blobs``; forgets all when dropped."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        """``store``: whose events tell of what is kept."""
        self._store = store
        self._clock = clock
        self.kept: dict[tuple[StreamId, str], tuple[KeptBlob, Instant]] = {}
        self._to_look_at: set[tuple[StreamId, str]] = set()

    async def keep(self, blobs: Sequence[KeptBlob]) -> None:
        """Have these kept; see ``Blobs.keep``."""
        for blob in blobs:
            if (place := (blob.stream, blob.field)) not in self.kept:
                self.kept[place] = blob, self._clock.now()
                self._to_look_at.add(place)

    async def find(self, stream: StreamId, fields: Collection[str]) -> dict[str, str]:
        """Return what is kept of a stream; see ``Blobs.find``."""
        return {field: self.kept[stream, field][0].sealed for field in fields if (stream, field) in self.kept}

    async def sweep(self) -> int:
        """Delete what no event tells of; see ``Blobs.sweep``."""
        before = self._clock.now() - SWEPT_AFTER
        seen = {place for place in self._to_look_at if self.kept[place][1] < before}
        recorded = await self._store.versions({stream for stream, _ in seen})
        for stream, field in seen:
            if stream not in recorded:
                del self.kept[stream, field]
        self._to_look_at -= seen
        return len(seen)

    def holds(self, stream: StreamId) -> bool:
        """Return whether anything is kept of a stream."""
        return any(kept == stream for kept, _ in self.kept)
