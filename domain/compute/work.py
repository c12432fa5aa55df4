"""Ports for those who work on VPSs and jobs: what is open, and who is at it."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from domain.ids import HostId, JobId, VpsId
from domain.time import Instant


class Leases(Protocol):
    """Leave to work on a thing for a while. They only save work: the versions in appends keep it right."""

    async def take(self, scope: str, key: UUID, lease_s: float) -> int | None:
        """Have a thing to oneself for ``lease_s``; return how often it was given back undone before.

        None while somebody else has it, or it is to be left alone for now.
        """
        ...

    async def taken(self, scope: str, keys: Collection[UUID]) -> set[UUID]:
        """Return those of the things that somebody has now, or that are to be left alone for now."""
        ...

    async def extend(self, scope: str, key: UUID, lease_s: float) -> bool:
        """Keep it for ``lease_s`` from now; False where it was lost."""
        ...

    async def done(self, scope: str, key: UUID) -> None:
        """Give it back with nothing left to do."""
        ...

    async def postpone(self, scope: str, key: UUID, pause_s: float) -> None:
        """Give it back undone, to be left alone for ``pause_s``; 0: at anyone's disposal."""
        ...


class OpenWork(Protocol):
    """What a read model knows of work to do. It may be a moment behind, so each is looked at again."""

    async def due_vpss(self, host_ids: Sequence[HostId], limit: int) -> Sequence[VpsId]:
        """Return VPSs on these hosts, or on none yet, for which a step is to be taken, the longest waiting first.

        Those leased or postponed are left out, and accounts take turns: nobody's many keep others waiting.
        """
        ...

    async def awaiting_user_data(self, host_ids: Sequence[HostId], after: VpsId | None, limit: int) -> Sequence[VpsId]:
        """Return VPSs on these hosts that run, and of whose user data it is not known how it ended, by their ids.

        Those leased or postponed are left out.
        """
        ...

    async def vpss_on(self, host_id: HostId) -> Sequence[VpsId]:
        """Return every VPS placed on a host that is not deleted."""
        ...

    async def expiring(self, before: Instant, now: Instant, after: VpsId | None, limit: int) -> Sequence[VpsId]:
        """Return VPSs of which the expiry is to be told, or done, in the order of their ids, past ``after``.

        Those that expire by ``now``, and those that do by ``before`` and of which that was not told.
        """
        ...

    async def open_jobs(self, requested_before: Instant, limit: int) -> Sequence[JobId]:
        """Return jobs that are not finished, the oldest first; those leased or postponed left out, accounts in turn."""
        ...
