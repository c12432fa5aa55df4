"""A house with mail, or a world with payments, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.simulated.clock import ManualClock
from tests.api.mailed_house import Mailed, mailed_house
from tests.api.payment_world import PaymentWorld
from tests.databases import Databases
from tests.storage import OpenStorage


@pytest.fixture
async def mailed(databases: Databases, tmp_path: Path) -> AsyncIterator[Mailed]:
    """A house with a folder for its mail."""
    async with mailed_house(databases, tmp_path / "mail") as made:
        yield made


@pytest.fixture
async def world(open_storage: OpenStorage) -> PaymentWorld:
    """Return a world with one customer, over a fresh database."""
    clock = ManualClock()
    return PaymentWorld(await open_storage(clock), clock)
