"""Whoever starts over a ledger learns the same name of it."""

import asyncio

import pytest

from api.application.ledger_identity import ensure_founded
from domain.settings.events import LedgerFounded
from tests.api.compute_world import IDS, Worlds

pytestmark = pytest.mark.anyio


async def test_all_who_start_over_a_ledger_at_once_or_later_learn_one_name(worlds: Worlds) -> None:
    world = await worlds()

    at_once = await asyncio.gather(*(ensure_founded(world.worker().aggregates, IDS) for _ in range(3)))
    later = await ensure_founded(world.worker().aggregates, IDS)

    assert {*at_once, later} == {later}
    assert await world.events(LedgerFounded) == [LedgerFounded(later)]


async def test_another_database_is_another_ledger(worlds: Worlds) -> None:
    names = [await ensure_founded((await worlds()).worker().aggregates, IDS) for _ in range(2)]

    assert names[0] != names[1]
