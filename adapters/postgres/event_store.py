"""The event store on PostgreSQL: one place of truth for any number of processes."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Self
from uuid import UUID

from adapters.postgres.binary import BYTEA, bytes_array, int4, int4_array, int8, read_int
from adapters.postgres.binary import UUID as UUID_TYPE
from adapters.postgres.group_writer import GroupWriter
from adapters.postgres.head_watch import HeadWatch
from adapters.postgres.prepared import PreparedQuery
from adapters.postgres.read_pool import ReadPool
from adapters.postgres.recorded_rows import READ_FEED, READ_STREAM, recorded_rows
from adapters.postgres.replay import replay
from adapters.postgres.stream_reader import StreamReader
from domain.ids import StreamId
from domain.ports import READ_BYTES_MAX, Append, Appended, Claim, Recorded
from domain.time import Instant

FIND_CLAIM = PreparedQuery(
    "find_claim",
    "SELECT holder, kept, expires_at FROM ledger.claim WHERE scope = $1::text AND key = $2::bytea"
    " AND (expires_at IS NULL OR expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)",
)
_READ_VERSIONS = PreparedQuery(
    "read_versions",
    "SELECT h.stream, h.version FROM unnest($1::uuid[]) AS w (stream)"
    " JOIN ledger.stream_head AS h ON h.stream = w.stream",
)
_LOAD_SNAPSHOTS = PreparedQuery(
    "load_snapshots",
    "SELECT s.stream, s.version, s.state FROM unnest($1::uuid[]) AS w (stream)"
    " JOIN ledger.snapshot AS s ON s.stream = w.stream",
)
_SAVE_SNAPSHOTS = PreparedQuery(
    "save_snapshots",
    "INSERT INTO ledger.snapshot AS s (stream, version, state)"
    # In one order, lest two who save the same ones wait for each other.
    " SELECT * FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS n (stream, version, state) ORDER BY stream"
    " ON CONFLICT (stream) DO UPDATE SET version = excluded.version, state = excluded.state"
    " WHERE s.version < excluded.version",
)
_DELETE_SNAPSHOTS = PreparedQuery("delete_snapshots", "DELETE FROM ledger.snapshot")
_SWEEP_CLAIMS = PreparedQuery("sweep_claims", "SELECT ledger.sweep_claims($1)")


class PostgresEventStore:
    """Implements ``domain.ports.EventStore`` and ``Snapshots``; ``url`` is that of the service's role.

    Belongs to the event loop in which it was opened. A lost database is waited for, within bounds; an append
    whose answer was lost with it is looked up, so that it is told truthfully and never recorded twice.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = ReadPool(url)
        self._watch = HeadWatch(url, self._pool)
        self._reader = StreamReader(self._pool)
        self._writer = GroupWriter(url, on_recorded=self._watch.saw)

    async def open(self) -> None:
        """Connect; raises psycopg.OperationalError."""
        await self._writer.open()
        self._watch.open()

    async def close(self) -> None:
        """Record what is waiting, then let all connections go."""
        await self._writer.close()
        await self._watch.close()
        await self._pool.close()

    async def __aenter__(self) -> Self:
        """Open the store."""
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the store."""
        await self.close()

    async def append(self, append: Append) -> Appended:
        """Record all of it or none; see ``EventStore.append``."""
        return await self._writer.append(append)

    async def read_streams(self, after: Sequence[tuple[StreamId, int]]) -> list[Recorded]:
        """Return the events of each stream past the version told; see ``EventStore.read_streams``."""
        return await self._reader.read(after)

    async def versions(self, streams: Collection[StreamId]) -> dict[StreamId, int]:
        """Return the last version of each of these streams that has any event."""
        rows = await self._pool.run(_READ_VERSIONS, [bytes_array(UUID_TYPE, (stream.bytes for stream in streams))])
        found = ((rows.get_value(row, 0), rows.get_value(row, 1)) for row in range(rows.ntuples))
        return {StreamId(UUID(bytes=stream)): read_int(version) for stream, version in found}

    async def read_stream(self, stream: StreamId, after: int, until: int) -> list[Recorded]:
        """Return the events of one stream past ``after`` up to ``until``; see ``EventStore.read_stream``."""
        bounds = [int4(after), int4(until), int8(READ_BYTES_MAX)]
        return recorded_rows(await self._pool.run(READ_STREAM, [stream.bytes, *bounds]))

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        """Return the events past a position, in order, none left out; see ``EventStore.read_feed``."""
        return recorded_rows(await self._pool.run(READ_FEED, [int8(after), int8(limit), int8(READ_BYTES_MAX)]))

    def replay(self, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """Yield all events past a position, in lists; the fast way to read very many."""
        return replay(self._url, after)

    async def head(self) -> int:
        """Return the last position, 0 in an empty store."""
        return await self._watch.head()

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the head."""
        return await self._watch.wait_past(position, timeout_s)

    async def find_claim(self, scope: str, key: bytes) -> Claim | None:
        """Return who holds a claim that has not expired."""
        rows = await self._pool.run(FIND_CLAIM, [scope.encode(), key])
        if not rows.ntuples:
            return None
        holder, kept, expires_at = (rows.get_value(0, column) for column in range(3))
        expires = None if expires_at is None else Instant(read_int(expires_at))
        return Claim(scope, key, UUID(bytes=holder), kept, expires)

    async def sweep_claims(self, at_most: int = 1000) -> int:
        """Delete claims that have expired; return how many. Changes no answer."""
        return read_int((await self._pool.run(_SWEEP_CLAIMS, [int4(at_most)])).get_value(0, 0))

    async def load_snapshots(self, streams: Collection[StreamId]) -> dict[StreamId, tuple[int, bytes]]:
        """Return, of those streams that have one, the version that was folded last, and the state as bytes."""
        rows = await self._pool.run(_LOAD_SNAPSHOTS, [bytes_array(UUID_TYPE, (stream.bytes for stream in streams))])
        found = (tuple(rows.get_value(row, column) for column in range(3)) for row in range(rows.ntuples))
        return {StreamId(UUID(bytes=stream)): (read_int(version), state or b"") for stream, version, state in found}

    async def save_snapshots(self, snapshots: Mapping[StreamId, tuple[int, bytes]]) -> None:
        """Keep states, each with its version, in place of older ones of the same streams."""
        versions_and_states = snapshots.values()
        await self._pool.run(
            _SAVE_SNAPSHOTS,
            [
                bytes_array(UUID_TYPE, (stream.bytes for stream in snapshots)),
                int4_array(version for version, _ in versions_and_states),
                bytes_array(BYTEA, (state for _, state in versions_and_states)),
            ],
        )

    async def delete_snapshots(self) -> None:
        """Forget every snapshot, which changes no result."""
        await self._pool.run(_DELETE_SNAPSHOTS, [])
