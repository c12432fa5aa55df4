"""When tokens were last used."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.last_uses import PostgresLastUses
from domain.ids import TokenId
from domain.time import Instant
from domain.tokens.ports import LastUses

pytestmark = pytest.mark.anyio


@pytest.fixture
async def last_uses(database_url: str) -> AsyncIterator[LastUses]:
    async with AsyncConnectionPool(database_url, min_size=1, kwargs={"autocommit": True}, open=False) as pool:
        yield PostgresLastUses(pool)


async def test_a_token_that_was_never_used_is_not_told_of(last_uses: LastUses) -> None:
    assert dict(await last_uses.of([TokenId(uuid4())])) == {}
    assert dict(await last_uses.of([])) == {}


async def test_the_last_of_several_uses_is_kept(last_uses: LastUses) -> None:
    one, other = TokenId(uuid4()), TokenId(uuid4())
    for at in (5, 9, 7):
        await last_uses.note(one, Instant(at))
    await last_uses.note(other, Instant(3))

    assert dict(await last_uses.of([one, other])) == {one: 9, other: 3}
    assert dict(await last_uses.of([one])) == {one: 9}
