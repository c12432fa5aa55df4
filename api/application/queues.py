"""Queues: things of many customers that wait to be dealt with, where nobody's keep anybody else's waiting.

One that always fails costs only itself: it is tried again after pauses that grow, and left out meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
import structlog

from domain.compute.work import Leases
from domain.ids import AccountId
from domain.pauses import Pauses
from domain.ports import Clock, StoreFailed, StoreUnavailable
from domain.time import Instant, seconds
from projections.reading import ProjectionBehind

PAUSES = Pauses(1.0, 3600.0)
"""Before something that failed is tried again."""
BATCH_MAX = 100
"""How many are looked up together."""

K = TypeVar("K")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


class Later(Exception):
    """Nothing is wrong, and there is nothing to do yet: it is looked at again after a pause."""


class RoundEnds(Exception):
    """What this one met, any other would meet as well: the rest is left to the next round."""


class Done(msgspec.Struct, Generic[R], frozen=True):
    """What was done under a lease came to this."""

    result: R


async def leased(
    leases: Leases,
    scope: str,
    key: UUID,
    work: Callable[[], Awaitable[R]],
    *,
    lease_s: float,
    pause_s: Callable[[int], float] = PAUSES.after,
) -> Done[R] | None:
    """Do something and return what it came to; None where somebody else is at it, or it is to be left alone.

    ``pause_s``: how long it is left alone where it raised, by how often it did before. Raises what ``work`` raises.
    """
    attempts = await leases.take(scope, key, lease_s)
    if attempts is None:
        return None
    try:
        result = await work()
    except asyncio.CancelledError:
        with suppress(StoreFailed):
            await asyncio.shield(leases.postpone(scope, key, pause_s(attempts)))
        raise
    except Exception:
        # Where the store is away, the lease ends by itself.
        with suppress(StoreFailed):
            await leases.postpone(scope, key, pause_s(attempts))
        raise
    await leases.done(scope, key)
    return Done(result)


class Backoffs(Generic[K]):
    """What failed lately in this process and is left alone for now: of things so many that none has a lease."""

    def __init__(self, clock: Clock, pause_max_s: float) -> None:
        self._clock = clock
        self._pause_max_s = pause_max_s
        self._failed: dict[K, tuple[int, Instant]] = {}
        """How often in a row, and until when it is left alone."""

    def is_over(self, key: K) -> bool:
        """Return whether it may be tried."""
        return key not in self._failed or self._failed[key][1] <= self._clock.now()

    def failed(self, key: K) -> None:
        """Have it left alone, longer each time."""
        failures, _ = self._failed.get(key, (0, None))
        pause_s = min(PAUSES.after(failures), self._pause_max_s)
        self._failed[key] = failures + 1, Instant(self._clock.now() + seconds(pause_s))

    def done(self, key: K) -> None:
        """Forget that it failed."""
        self._failed.pop(key, None)


class Queue(Generic[K]):
    """What waits, in an order of keys, and what is done about each."""

    def __init__(
        self,
        scope: str,
        leases: Leases,
        waiting: Callable[[K | None, int], Awaitable[Sequence[K]]],
        work: Callable[[K], Awaitable[object]],
        *,
        lease_key: Callable[[K], UUID],
        lease_s: float,
        at_once_max: int = 1,
        batch_max: int = BATCH_MAX,
        pause_s: Callable[[int], float] = PAUSES.after,
        foreseen: tuple[type[Exception], ...] = (),
    ) -> None:
        """``scope``: of the leases, and what the log calls it.

        ``waiting``: returns so many of those that wait past a key, None: from the first on. ``work``: returns whether
        anything was done, if that is to be counted; it is leased. ``foreseen``: what is logged in one line.
        """
        self._scope = scope
        self._leases = leases
        self._waiting = waiting
        self._work = work
        self._lease_key = lease_key
        self._lease_s = lease_s
        self._at_once_max = at_once_max
        self._batch_max = batch_max
        self._pause_s = pause_s
        self._foreseen = foreseen
        self._begun: K | None = None
        """The last one that was begun in a round that is not at its end."""

    async def work_off(self) -> int:
        """Go a round: deal with each that waits, once; return of how many ``work`` returned True.

        A round that was cut is gone on with by the next. Raises StoreUnavailable, ProjectionBehind, RoundEnds.
        """
        done = 0
        while batch := await self._waiting(self._begun, self._batch_max):
            done += await self._each(batch, moves=True)
            self._begun = batch[-1]
        self._begun = None
        return done

    async def deal_with(self, keys: Sequence[K]) -> int:
        """Deal with these, wherever a round is; see ``work_off``."""
        return await self._each(keys, moves=False)

    async def _each(self, keys: Sequence[K], *, moves: bool) -> int:
        """Deal with these, some at once, those left out that somebody is at, or that are to be left alone."""
        lease_keys = [self._lease_key(key) for key in keys]
        taken = await self._leases.taken(self._scope, lease_keys)
        free = [key for key, lease_key in zip(keys, lease_keys, strict=True) if lease_key not in taken]
        places = asyncio.Semaphore(self._at_once_max)
        ends: list[Exception] = []
        """What ends the round: nothing is begun after the first."""

        async def one(key: K) -> bool:
            async with places:
                if ends:
                    return False
                if moves:
                    self._begun = key
                try:
                    return await self._deal_leased(key)
                except (StoreUnavailable, ProjectionBehind, RoundEnds) as problem:
                    ends.append(problem)
                    return False

        done = await asyncio.gather(*(one(key) for key in free))
        if ends:
            raise ends[0]
        return sum(done)

    async def _deal_leased(self, key: K) -> bool:
        work = partial(self._work, key)
        try:
            done = await leased(
                self._leases, self._scope, self._lease_key(key), work, lease_s=self._lease_s, pause_s=self._pause_s
            )
        except Later:
            return False
        except (StoreUnavailable, ProjectionBehind, RoundEnds):
            raise
        except Exception as problem:  # noqa: BLE001 Of this one; the others are dealt with all the same.
            if isinstance(problem, (StoreFailed, *self._foreseen)):
                _log.warning("left for later", queue=self._scope, key=str(key), problem=str(problem))
            else:
                _log.exception("failed, left for later", queue=self._scope, key=str(key))
            return False
        return done is not None and done.result is True


async def work_off_accounts(
    leases: Leases,
    scope: str,
    waiting: Callable[[AccountId | None, int], Awaitable[Sequence[AccountId]]],
    work: Callable[[AccountId], Awaitable[object]],
    *,
    lease_s: float,
) -> int:
    """Go a round of a queue of accounts, each leased by its own id; one that was cut begins anew. See ``Queue``."""
    queue = Queue(scope, leases, waiting, work, lease_key=lambda account_id: account_id, lease_s=lease_s)
    return await queue.work_off()
