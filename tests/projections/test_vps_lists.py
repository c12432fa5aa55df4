"""Lists of an account's VPSs by name, label and state: however many it has, a request opens a bounded number."""

from collections.abc import Callable
from itertools import product
from typing import Literal
from unittest.mock import patch

import pytest

from api.application import vps_queries as vps_lists
from api.application.vps_queries import VpsList, VpsListQuery, VpsListSlice, slice_of
from domain.codec import decode, decode_metadata
from domain.compute.events import VpsLabelled, VpsRenamed
from domain.compute.vps import FOLD, Vps, labels_of
from domain.errors import Invalid
from domain.ids import AccountId, StreamId, vps_stream
from projections.reading import ReadModels
from projections.vps import VPS
from tests.projections.history import History

pytestmark = pytest.mark.anyio

NAMES = [f"{'web' if number % 3 else 'db'}-{number:02}" for number in range(14)]
"""Of the VPSs, the oldest first."""
BOUND = 4


def is_db(vps: Vps) -> bool:
    return vps.name.startswith("db")


@pytest.fixture
async def ada(history: History, followed: ReadModels) -> AccountId:
    """Return an account with VPSs, beside another that has some too."""
    ada, bob = await history.registered(), await history.registered(email="bob@example.com")
    for name in NAMES:
        await history.vps_requested(ada, name)
        await history.vps_requested(bob, f"db-of-bob-{name}")
    await followed.caught_up(await history.store.head(), VPS, timeout_s=30)
    return ada


@pytest.fixture
def projected(history: History, followed: ReadModels) -> VpsList:
    return VpsList(followed, history.store, history.sealer)


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a request look through few."""
    monkeypatch.setattr(vps_lists, "LOOKED_THROUGH_MAX", BOUND)
    monkeypatch.setattr(vps_lists, "LOOKED_THROUGH_AT_ONCE", 3)


async def opened(history: History, lists: VpsList, ada: AccountId, asked: VpsListQuery) -> tuple[VpsListSlice, int]:
    """Return a part, and how many names were opened for it."""
    with patch.object(history.sealer, "unseal", wraps=history.sealer.unseal) as unseal:
        part = await lists.of_account(ada, asked)
    return part, unseal.call_count


def names(part: VpsListSlice) -> list[str]:
    return [vps.name for vps in part.shown]


async def test_a_page_opens_what_it_shows_and_nothing_else(
    history: History, projected: VpsList, ada: AccountId
) -> None:
    part, count = await opened(history, projected, ada, VpsListQuery(limit=3, offset=2))

    assert names(part) == NAMES[::-1][2:5]
    assert (part.total, count) == (len(NAMES), 3)


async def placed(
    history: History, account_id: AccountId, wanted: Callable[[Vps], bool] | None
) -> list[tuple[int, Vps]]:
    """Return the VPSs of an account that are wanted as their events have them, the newest first, with their places."""
    folded: dict[StreamId, Vps | None] = {}
    places: dict[StreamId, int] = {}
    for recorded in await history.store.read_feed(0, 10_000):
        if recorded.type.startswith("compute.vps-") and decode_metadata(recorded).account_id == account_id:
            event = decode(recorded, history.sealer)
            folded[recorded.stream] = FOLD.evolve(folded.get(recorded.stream), event)
            places.setdefault(recorded.stream, recorded.position)
    found = [(places[stream], vps) for stream, vps in folded.items() if vps is not None and not vps.gone]
    return [(place, vps) for place, vps in reversed(found) if wanted is None or wanted(vps)]


@pytest.mark.parametrize("matches", [None, is_db])
async def test_the_read_model_tells_what_the_events_do(
    history: History, projected: VpsList, ada: AccountId, matches: Callable[[Vps], bool] | None
) -> None:
    everything = await placed(history, ada, matches)
    for limit, offset in product((1, 3, 100), (0, 2, 13, 14)):
        part = await projected.of_account(ada, VpsListQuery(limit=limit, offset=offset, matches=matches))
        asked = [VpsListQuery(limit=limit, offset=offset, matches=matches)]
        for place in filter(None, [part.older, part.newer]):
            asked += [VpsListQuery(limit=limit, matches=matches, before=place)]
            asked += [VpsListQuery(limit=limit, matches=matches, after=place)]
        for one in asked:
            assert slice_of(everything, one) == await projected.of_account(ada, one)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_name_is_found_among_many_a_bounded_number_at_a_time(
    history: History, projected: VpsList, ada: AccountId, limit: int, side: Literal["before", "after"]
) -> None:
    found: list[str] = []
    place: int | None = 10**9 if side == "before" else 0
    while place is not None:
        before, after = (place, None) if side == "before" else (None, place)
        asked = VpsListQuery(limit=limit, matches=is_db, before=before, after=after)
        part, count = await opened(history, projected, ada, asked)
        assert count <= BOUND
        assert len(part.shown) <= limit
        assert part.total is None
        found = found + names(part) if side == "before" else names(part) + found
        place = part.older if side == "before" else part.newer

    assert found == [name for name in NAMES[::-1] if name.startswith("db")]


@pytest.mark.usefixtures("bounded")
async def test_rows_that_nobody_has_looked_at_cannot_be_passed_over(projected: VpsList, ada: AccountId) -> None:
    with pytest.raises(Invalid) as refused:
        await projected.of_account(ada, VpsListQuery(limit=1, offset=1, matches=is_db))

    assert refused.value.facts["fields"] == {"offset": "not with name or label among more than 4 VPSs"}


async def test_what_was_renamed_and_labelled_is_told_as_it_is_now_and_found_by_that(
    history: History, followed: ReadModels, projected: VpsList
) -> None:
    eve = await history.registered(email="eve@example.com")
    vps_id = await history.vps_requested(eve, "db-old")
    stream, now = vps_stream(vps_id), history.clock.now()
    await history.record(eve, (stream, VpsRenamed("web-new", now)))
    await history.record(eve, (stream, VpsLabelled('{"role":"web"}', now)))
    await history.record(eve, (stream, VpsRenamed("web-newer", now)))
    await followed.caught_up(await history.store.head(), VPS, timeout_s=30)

    everything = await projected.of_account(eve, VpsListQuery(limit=10))
    assert [(vps.name, labels_of(vps)) for vps in everything.shown] == [("web-newer", {"role": "web"})]
    assert names(await projected.of_account(eve, VpsListQuery(limit=10, matches=is_db))) == []
    assert everything.shown == [vps for _, vps in await placed(history, eve, None)]
