"""The VPSs of an account: the one list of them that needs a read model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from domain.compute.vps import State, Vps
from domain.errors import Invalid
from domain.ids import AccountId
from domain.ports import EventStore, Sealer
from projections.read_model import Connection
from projections.reading import ReadModels
from projections.vps import VPS, VpsRow, count_of, vpss_after, vpss_of

LOOKED_THROUGH_MAX = 2_000
"""How many VPSs one request opens to find a name or a label."""
LOOKED_THROUGH_AT_ONCE = 200
"""And how many of them without letting others have their turn: some 3 ms."""

Placed = tuple[int, Vps]


class VpsListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the VPSs of an account is asked for. A place is the position of the event that asked for it."""

    state: State | None = None
    matches: Callable[[Vps], bool] | None = None
    """Of names and labels, which are sealed wherever they are kept; None: whatever they are."""
    limit: int
    offset: int = 0
    before: int | None = None
    after: int | None = None
    """At most one of ``before`` and ``after``, and ``offset`` with neither."""


class VpsListSlice(msgspec.Struct, frozen=True):
    """A part of a list of VPSs, newest first; names and labels are unsealed."""

    shown: Sequence[Vps]
    total: int | None
    """How many there are in all; None where there are too many to look through them for it."""
    older: int | None
    """The place after which it goes on, if it does."""
    newer: int | None
    """The place before which others come, if they do."""


class VpsList:
    """Reads the read model once it shows everything recorded so far."""

    def __init__(self, read_models: ReadModels, store: EventStore, sealer: Sealer) -> None:
        self._read_models = read_models
        self._store = store
        self._sealer = sealer

    async def of_account(self, account_id: AccountId, query: VpsListQuery) -> VpsListSlice:
        """Return a part of those that exist for the account now, newest first.

        A name or a label is found by opening all VPSs of the account where it has at most ``LOOKED_THROUGH_MAX``.
        Of one that has more, so many are opened a request, and the next page goes on from there: it may show fewer
        than ``limit``, or none, and has no total. Raises ProjectionBehind, and Invalid for an offset in such a list.
        """
        await self._sealer.load([account_id])
        async with self._read_models.at(await self._store.head(), VPS) as connection:
            total = await count_of(connection, account_id, query.state)
            if query.matches is None:
                return await self._found(connection, account_id, query, total)
            if total > LOOKED_THROUGH_MAX:
                return await self._looked_for(connection, account_id, query)
            everything = VpsListQuery(state=query.state, matches=query.matches, limit=total)
            matching = [
                placed async for placed, matches in self._looked_through(connection, account_id, everything) if matches
            ]
        return slice_of(matching, query)

    async def _found(
        self, connection: Connection, account_id: AccountId, query: VpsListQuery, total: int
    ) -> VpsListSlice:
        rows = await _rows(connection, account_id, query, query.limit, query.before, query.after, query.offset)
        shown = [self._opened(account_id, row) for row in rows]
        if query.after is not None:
            shown.reverse()
        return await _between(connection, account_id, query, shown, total)

    async def _looked_for(self, connection: Connection, account_id: AccountId, query: VpsListQuery) -> VpsListSlice:
        if query.offset:
            raise Invalid(fields={"offset": f"not with name or label among more than {LOOKED_THROUGH_MAX} VPSs"})
        shown: list[Placed] = []
        seen, last = 0, None
        async for placed, matches in self._looked_through(connection, account_id, query):
            seen, last = seen + 1, placed[0]
            if matches:
                shown.append(placed)
            if len(shown) == query.limit or seen == LOOKED_THROUGH_MAX:
                break
        if query.after is not None:
            shown.reverse()
        part = await _between(connection, account_id, query, shown, None)
        if seen < LOOKED_THROUGH_MAX or len(shown) == query.limit or last is None:
            return part
        # It goes on at what was looked at last, shown or not.
        older, newer = (part.older, last) if query.after is not None else (last, part.newer)
        return VpsListSlice(part.shown, None, older=older, newer=newer)

    async def _looked_through(
        self, connection: Connection, account_id: AccountId, query: VpsListQuery
    ) -> AsyncIterator[tuple[Placed, bool]]:
        assert query.matches is not None
        before, after = query.before, query.after
        while rows := await _rows(connection, account_id, query, LOOKED_THROUGH_AT_ONCE, before, after):
            for row in rows:
                placed = self._opened(account_id, row)
                yield placed, query.matches(placed[1])
            await asyncio.sleep(0)  # What has arrived already is read without letting anybody have a turn.
            before, after = (None, rows[-1].position) if after is not None else (rows[-1].position, None)

    def _opened(self, account_id: AccountId, row: VpsRow) -> Placed:
        return row.position, row.opened(account_id, self._sealer)


async def _rows(
    connection: Connection,
    account_id: AccountId,
    query: VpsListQuery,
    limit: int,
    before: int | None,
    after: int | None,
    offset: int = 0,
) -> list[VpsRow]:
    """Return what comes next in the direction that is asked for, the nearest first."""
    if after is not None:
        return await vpss_after(connection, account_id, state=query.state, limit=limit, after=after)
    return await vpss_of(connection, account_id, state=query.state, limit=limit, offset=offset, before=before)


async def _between(
    connection: Connection, account_id: AccountId, query: VpsListQuery, shown: list[Placed], total: int | None
) -> VpsListSlice:
    """Return what is shown, with the places of its ends where there is anything beyond them."""
    if not shown:
        return VpsListSlice([], total, older=None, newer=None)
    first, last = shown[0][0], shown[-1][0]
    older = await vpss_of(connection, account_id, state=query.state, limit=1, before=last)
    newer = await vpss_after(connection, account_id, state=query.state, limit=1, after=first)
    return VpsListSlice([vps for _, vps in shown], total, older=last if older else None, newer=first if newer else None)


def slice_of(placed: list[Placed], query: VpsListQuery) -> VpsListSlice:
    """Return the part that is asked for of a whole list, which has the newest first."""
    first, end = query.offset, query.offset + query.limit
    if query.before is not None:
        first = sum(place >= query.before for place, _ in placed)
        end = first + query.limit
    elif query.after is not None:
        end = sum(place > query.after for place, _ in placed)
        first = max(0, end - query.limit)
    shown = placed[first:end]
    return VpsListSlice(
        [vps for _, vps in shown],
        len(placed),
        older=shown[-1][0] if shown and end < len(placed) else None,
        newer=shown[0][0] if shown and first > 0 else None,
    )
