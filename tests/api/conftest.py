"""A house with mail for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.alerts.mailed_house import Mailed, mailed_house
from tests.databases import Databases


@pytest.fixture
async def mailed(databases: Databases, tmp_path: Path) -> AsyncIterator[Mailed]:
    """A house with a folder for its mail."""
    async with mailed_house(databases, tmp_path / "mail") as made:
        yield made
