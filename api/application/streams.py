"""Streams read in parts, so that a long one, or one of large events, is never held as a whole."""

from collections.abc import AsyncIterator

from domain.ids import StreamId
from domain.ports import EventStore, Recorded

EVENTS_AT_ONCE_MAX = 2_000


async def events_between(store: EventStore, stream: StreamId, after: int, until: int) -> AsyncIterator[Recorded]:
    """Yield the events of a stream past version ``after`` up to version ``until``, in order."""
    while after < until:
        part = await store.read_stream(stream, after, min(until, after + EVENTS_AT_ONCE_MAX))
        if not part:
            return
        for recorded in part:
            yield recorded
        after = part[-1].version
