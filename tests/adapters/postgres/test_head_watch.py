"""Whoever waits for the ledger to grow is woken by a notice, whichever process made it grow."""

import asyncio

import psycopg
import pytest

from adapters.postgres import head_watch
from adapters.postgres.event_store import PostgresEventStore
from domain.ports import Append
from tests.contracts.event_stores import event, new_stream

LISTENERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN ledger_head'"
END_LISTENERS = LISTENERS.replace("count(*)", "pg_terminate_backend(pid)")

pytestmark = pytest.mark.anyio


async def test_an_append_of_another_process_wakes_at_once_also_after_the_connection_was_lost(
    database_url: str, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_watch, "POLL_EVERY_S", 60.0)
    async with (
        PostgresEventStore(database_url) as store,
        PostgresEventStore(database_url) as elsewhere,
        await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as superuser,
    ):
        for position in (1, 2):
            await _until_listening(superuser)
            waiting = asyncio.create_task(store.wait_past(position - 1, 60))
            await asyncio.sleep(0.1)
            await elsewhere.append(Append((event(new_stream(), 1),)))
            async with asyncio.timeout(10):
                assert await waiting == position
            await superuser.execute(END_LISTENERS)


async def _until_listening(superuser: psycopg.AsyncConnection) -> None:
    async with asyncio.timeout(10):
        while await (await superuser.execute(LISTENERS)).fetchone() != (2,):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
