"""While large texts wait for the database, what is small goes on."""

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from domain.ids import AccountId, StreamId
from tests.journeys.stored_houses import stored_house

pytestmark = pytest.mark.anyio


async def test_keys_are_there_at_once_while_any_number_of_blobs_waits(
    database_url: str, owner_url: str, tmp_path: Path
) -> None:
    async with stored_house(database_url, tmp_path) as here:
        runtime = here.runtime
        with psycopg.connect(owner_url) as owner:
            owner.execute("LOCK TABLE work.blob")
            blobs = runtime.worker.blobs
            waiting = [asyncio.create_task(blobs.find(StreamId(uuid4()), ("stdin",))) for _ in range(30)]
            await asyncio.sleep(0.2)

            async with asyncio.timeout(5):
                await runtime.sealer.load([AccountId(uuid4())], create=True)

            assert not any(one.done() for one in waiting)
        assert await asyncio.gather(*waiting) == [{}] * 30
