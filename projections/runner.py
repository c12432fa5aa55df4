"""The runner: follows the feed and keeps the read models up with it, a batch a transaction."""

import asyncio
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import psycopg
import structlog

from domain import codec
from domain.ports import Recorded, StoreFailed, TooLargeToStore
from domain.store_failures import store_failure
from projections.packed import take_packed
from projections.read_model import Connection, Entry, ReadModel

BATCH_EVENTS_MAX = 5_000
LIVE_EVENTS_MAX = 100
"""In one batch of a read model that is nearly up with the ledger: requests of this process wait while it is folded."""
FAR_BEHIND_EVENTS = 50_000
"""From so many on, catching up comes first: large batches cost far less an event."""
IDLE_S = 5.0
"""How long a wake-up is waited for before the feed is looked at all the same."""
GATHER_S = 0.005
"""How long more events are waited for once there is one; so much later lists show it at the most."""
LEASE_POLL_S = 0.5
"""How often a process that does not hold the lease tries to get it."""
RETRY_S = 1.0
_LEASE = 0x70726F6A  # "proj": the advisory lock of the process that runs the read models.

_log = structlog.get_logger(__name__)


class Feed(Protocol):
    """What the runner needs of the event store."""

    async def read_feed(self, after: int, limit: int) -> list[Recorded]:
        """Return at most ``limit`` events past a position, in order of position, none left out."""
        ...

    async def head(self) -> int:
        """Return the last position, 0 in an empty store."""
        ...

    async def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the head."""
        ...


class NotInstalled(Exception):
    """Tables of a read model are missing: the migrations have to run first."""


class Runner:
    """Runs all read models of a process. Any number of processes may; a lease lets one do the work.

    The lease only saves work: a batch is folded only if the position, moved in the same transaction, is
    still the one it began at. An event that cannot be folded stops its read model, and no other.
    """

    def __init__(
        self,
        feed: Feed,
        database_url: str,
        read_models: Collection[ReadModel],
        *,
        schema: str,
        moved: Callable[[Mapping[str, int]], None] | None = None,
    ) -> None:
        """``moved`` is told the positions whenever a batch is committed."""
        self._feed = feed
        self._database_url = database_url
        self._read_models = tuple(read_models)
        self._schema = schema
        self._moved = moved

    async def run(self) -> None:
        """Keep the read models up with the feed until cancelled."""
        first = True
        while True:
            try:
                await self._run_connected(retry_failed=first)
            except (psycopg.Error, StoreFailed) as problem:
                # Whatever it is: read models that ended here would end the service with them.
                _log.warning("projections wait for the database", problem=str(problem))
                await asyncio.sleep(RETRY_S)
            first = False

    async def _run_connected(self, *, retry_failed: bool) -> None:
        async with await connect(self._database_url, self._schema) as connection:
            # A position that is lost in a crash of the database is lost with its rows: both come again.
            await connection.execute("SET synchronous_commit = off")
            await self._wait_for_lease(connection)
            if retry_failed:
                await connection.execute("UPDATE projection SET failed_at = NULL, failure = NULL")
            folding = Folding(connection, self._feed, self._read_models)
            while True:
                # Asked anew each time, since a rebuild may have brought back one that had failed.
                await folding.find_positions()
                self._tell(folding)
                while await folding.advance(live=True):
                    self._tell(folding)
                if folding.positions:
                    await self._feed.wait_past(folding.furthest, IDLE_S)
                    # Under load the next events are a moment behind: folded together they cost far less.
                    await asyncio.sleep(GATHER_S)
                else:
                    await asyncio.sleep(IDLE_S)

    def _tell(self, folding: "Folding") -> None:
        if self._moved is not None:
            self._moved(folding.positions)

    async def _wait_for_lease(self, connection: Connection) -> None:
        while True:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_LEASE, self._schema])
            row = await cursor.fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(LEASE_POLL_S)


class Folding:
    """Read models in one schema being brought forward over one connection."""

    def __init__(self, connection: Connection, feed: Feed, read_models: Collection[ReadModel]) -> None:
        self._connection = connection
        self.feed = feed
        self._read_models = {model.name: model for model in read_models}
        self._names = {model.name: model.stored_names for model in read_models}
        self.positions: dict[str, int] = {}
        """How far each read model is, those that have failed left out."""
        self.failures: list[str] = []
        """Which read models were stopped since, and why."""

    @property
    def furthest(self) -> int:
        """Return how far the foremost read model is."""
        return max(self.positions.values(), default=0)

    async def advance(self, until: int | None = None, *, live: bool = False) -> bool:
        """Fold one batch into each read model that is behind; tell whether there was anything to fold.

        ``until``: the position past which nothing is folded. Read models at the same position share the
        reading and the transaction; one that is far behind does not hold up the others. ``live``: small batches
        wherever there is little to catch up with, since others wait for this process.
        """
        far_behind = await self.feed.head() - FAR_BEHIND_EVENTS if live else None
        together: dict[int, list[str]] = {}
        for name, position in self.positions.items():
            together.setdefault(position, []).append(name)
        anything = False
        for after, names in sorted(together.items(), reverse=True):
            most = BATCH_EVENTS_MAX if far_behind is None or after < far_behind else LIVE_EVENTS_MAX
            limit = most if until is None else min(most, until - after)
            batch = await self.feed.read_feed(after, limit) if limit > 0 else []
            if batch:
                anything = True
                await self._fold(names, after, batch)
        return anything

    async def find_positions(self) -> None:
        """Look up how far each read model is. Raises NotInstalled."""
        cursor = await self._connection.execute("SELECT name, position, failed_at FROM projection")
        found = {name: (position, failed_at) for name, position, failed_at in await cursor.fetchall()}
        if missing := self._read_models.keys() - found.keys():
            raise NotInstalled(f"no tables for {', '.join(sorted(missing))}: run litevps migrate")
        self.positions = {name: found[name][0] for name in self._read_models if found[name][1] is None}

    async def _fold(self, names: Sequence[str], after: int, batch: Sequence[Recorded]) -> None:
        """Fold a batch; if that cannot be done, find the read model and the event at which it cannot."""
        try:
            await self._fold_in_one_transaction(names, after, batch)
        except Exception as problem:  # Whatever it is, it stops this read model only.
            if self._is_of_the_database(problem):
                raise
            if len(names) > 1:
                for name in names:
                    await self._fold([name], after, batch)
            elif len(batch) > 1:
                await self._fold(names, after, batch[: len(batch) // 2])
            else:
                await self._stop(names[0], batch[0], problem)

    def _is_of_the_database(self, problem: Exception) -> bool:
        """Return whether a fold failed for what the database lacks just now, and not for what was to be folded."""
        if not isinstance(problem, psycopg.Error):
            return False
        failure = store_failure(problem.sqlstate, str(problem), is_connected=not self._connection.closed)
        return failure is not None and not isinstance(failure, TooLargeToStore)

    async def _fold_in_one_transaction(self, names: Sequence[str], after: int, batch: Sequence[Recorded]) -> None:
        position = batch[-1].position
        async with self._connection.transaction():
            cursor = await self._connection.execute(
                "UPDATE projection SET position = %s WHERE name = ANY(%s) AND position = %s RETURNING name",
                [position, list(names), after],
            )
            still_there = {name for (name,) in await cursor.fetchall()}
            entries = _decoded(batch, frozenset().union(*(self._names[name] for name in still_there)))
            for name in names:
                if name not in still_there:
                    continue
                wanted = self._names[name]
                if mine := [entry for entry in entries if entry.recorded.type in wanted]:
                    await self._read_models[name].apply(self._connection, mine)
        if len(still_there) < len(names):
            await self.find_positions()  # Another process was here, or a rebuild was.
        else:
            self.positions |= dict.fromkeys(names, position)

    async def _stop(self, name: str, recorded: Recorded, problem: Exception) -> None:
        # The problem's own words may hold what an event says; its kind does not.
        failure = f"{type(problem).__name__} at {recorded.type}"
        _log.error(
            "projection stopped",
            projection=name,
            position=recorded.position,
            problem=str(problem),
            where=traceback.format_tb(problem.__traceback__)[-1],
        )
        await self._connection.execute(
            "UPDATE projection SET failed_at = %s, failure = %s WHERE name = %s",
            [recorded.position, failure, name],
        )
        self.positions.pop(name, None)
        self.failures.append(f"{name}: {failure}, position {recorded.position}")


async def connect(database_url: str, schema: str) -> Connection:
    """Return a connection on which the bare names of tables are those of one schema."""
    connection: psycopg.AsyncConnection[tuple[Any, ...]] = await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, application_name="litevps projections"
    )
    take_packed(connection)
    await connection.execute("SELECT set_config('search_path', %s, false)", [schema])
    return connection


def _decoded(batch: Sequence[Recorded], wanted: frozenset[str]) -> list[Entry]:
    return [Entry(recorded, codec.decode(recorded)) for recorded in batch if recorded.type in wanted]
