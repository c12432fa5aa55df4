"""A store of which some streams cannot be read, whoever asks for them, however often."""

from collections.abc import Sequence

from adapters.postgres.event_store import PostgresEventStore
from domain.ids import StreamId
from domain.ports import Recorded


class PoisonedStore(PostgresEventStore):
    """A store; what is ``poisoned`` fails in a way that nobody foresaw."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.poisoned: set[StreamId] = set()
        self.tried = 0
        """How often something poisoned was asked for."""

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        """Return the events of streams; see ``EventStore.read_streams``."""
        self._refuse(*(stream for stream, _ in after))
        return await super().read_streams(after)

    async def read_stream(self, stream: StreamId, after: int, until: int) -> list[Recorded]:
        """Return a part of a stream; see ``EventStore.read_stream``."""
        self._refuse(stream)
        return await super().read_stream(stream, after, until)

    def _refuse(self, *streams: StreamId) -> None:
        if self.poisoned & set(streams):
            self.tried += 1
            raise RuntimeError("an event that nobody can read")
