"""Packed arrays come to what the driver's own would."""

from uuid import uuid4

import pytest

from projections.generation import SCHEMA
from projections.packed import int4s, int8s, texts, uuids
from projections.runner import connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 1_234])
async def test_every_item_arrives_as_it_is(database_url: str, count: int) -> None:
    small, large = [k - 600 for k in range(count)], [(k - 600) << 40 for k in range(count)]
    words, ids = [("paid", "unpaid", "größer", "")[k % 4] for k in range(count)], [uuid4() for _ in range(count)]
    async with await connect(database_url, SCHEMA) as connection:
        cursor = await connection.execute(
            "SELECT %b::int4[], %b::int8[], %b::text[], %b::uuid[]",
            [int4s(small), int8s(large), texts(words), uuids(ids)],
        )
        assert await cursor.fetchone() == (small, large, words, ids)
