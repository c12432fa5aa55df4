"""A sealer whose keys are in PostgreSQL or in memory, with the keys of two accounts at hand."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.sealing.key_tables import KeyTable, MemoryKeyTable, PostgresKeyTable
from adapters.sealing.master_key import MasterKey
from adapters.sealing.sealer import AccountSealer
from domain.ids import AccountId, EventId

MASTER = MasterKey(bytes(range(32)))
ALICE, BOB = AccountId(uuid4()), AccountId(uuid4())
EVENT, ANOTHER_EVENT = EventId(uuid4()), EventId(uuid4())


class Hands:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["memory", "postgres"])
async def keys(request: pytest.FixtureRequest) -> AsyncIterator[KeyTable]:
    if request.param == "memory":
        yield MemoryKeyTable()
        return
    url = request.getfixturevalue("database_url")
    async with AsyncConnectionPool(url, min_size=1, max_size=4, open=False) as pool:
        yield PostgresKeyTable(pool)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def sealer(keys: KeyTable, clock: Hands) -> AccountSealer:
    sealer = AccountSealer(MASTER, keys, monotonic_s=clock)
    await sealer.load([ALICE, BOB], create=True)
    return sealer
