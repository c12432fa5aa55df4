"""Leases in memory: what a table does for several processes, in a dictionary for one."""

from collections.abc import Collection
from uuid import UUID

from domain.ports import Clock
from domain.time import Instant, seconds


class LeaseTable:
    """What all holders of leases share; it outlives each of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[tuple[str, UUID], tuple[UUID | None, Instant, int]] = {}

    def is_taken(self, scope: str, key: UUID) -> bool:
        """Return whether somebody has it, or it is to be left alone for now."""
        row = self.rows.get((scope, key))
        return row is not None and row[1] > self.clock.now()


class MemoryLeases:
    """Implements ``domain.compute.work.Leases`` for one holder."""

    def __init__(self, table: LeaseTable, holder: UUID) -> None:
        self.table = table
        self._holder = holder

    async def take(self, scope: str, key: UUID, lease_s: float) -> int | None:
        """Have a thing to oneself for a while; see ``Leases.take``."""
        now = self.table.clock.now()
        _, until, attempts = self.table.rows.get((scope, key), (None, now, 0))
        if until > now:
            return None
        self.table.rows[scope, key] = (self._holder, Instant(now + seconds(lease_s)), attempts)
        return attempts

    async def taken(self, scope: str, keys: Collection[UUID]) -> set[UUID]:
        """Return those that are not free; see ``Leases.taken``."""
        return {key for key in keys if self.table.is_taken(scope, key)}

    async def extend(self, scope: str, key: UUID, lease_s: float) -> bool:
        """Keep it for longer; see ``Leases.extend``."""
        holder, _, attempts = self.table.rows.get((scope, key), (None, 0, 0))
        if holder != self._holder:
            return False
        until = Instant(self.table.clock.now() + seconds(lease_s))
        self.table.rows[scope, key] = (self._holder, until, attempts)
        return True

    async def done(self, scope: str, key: UUID) -> None:
        """Give it back with nothing left to do."""
        if self._holds(scope, key):
            del self.table.rows[scope, key]

    async def postpone(self, scope: str, key: UUID, pause_s: float) -> None:
        """Give it back undone; see ``Leases.postpone``."""
        if self._holds(scope, key):
            until = Instant(self.table.clock.now() + seconds(pause_s))
            attempts = self.table.rows[scope, key][2] + 1
            self.table.rows[scope, key] = (None, until, attempts)

    def _holds(self, scope: str, key: UUID) -> bool:
        row = self.table.rows.get((scope, key))
        return row is not None and row[0] == self._holder
