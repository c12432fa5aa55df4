"""Appends that nobody waits for let others go first, are written all the same, and a few at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.postgres import append_requests, group_writer
from adapters.postgres.append_requests import AppendRequest
from adapters.postgres.event_store import PostgresEventStore
from domain.ids import StreamId
from domain.ports import Append, VersionConflict
from tests.contracts.event_stores import event, new_stream

pytestmark = pytest.mark.anyio


def append(*, low_priority: bool, stream: StreamId | None = None) -> Append:
    return Append((event(stream or new_stream(), 1),), low_priority=low_priority)


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is in each transaction, as it is sent: p for patient, w for one that is waited for."""
    sent: list[str] = []
    send = append_requests.parameters

    def noted(batch: Sequence[AppendRequest]) -> list[bytes | None]:
        sent.append("".join("p" if request.append.low_priority else "w" for request in batch))
        return send(batch)

    monkeypatch.setattr(group_writer, "parameters", noted)
    return sent


async def test_whoever_waits_has_a_transaction_alone_but_never_twice_running(
    database_url: str, transactions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_writer, "LOW_PRIORITY_ITEMS_MAX", 2)
    monkeypatch.setattr(group_writer, "REQUESTS_MAX", 3)
    async with PostgresEventStore(database_url) as store:
        asked = [append(low_priority=number < 4) for number in range(13)]

        await asyncio.gather(*map(store.append, asked))

        assert transactions == ["www", "wwwpp", "www", "pp"]
        assert await store.head() == 13


async def test_a_patient_append_of_what_another_touches_comes_after_it(
    database_url: str, transactions: list[str]
) -> None:
    stream = new_stream()
    async with PostgresEventStore(database_url) as store:
        answers = await asyncio.gather(
            store.append(append(low_priority=True, stream=stream)),
            store.append(append(low_priority=False, stream=stream)),
            return_exceptions=True,
        )

    assert transactions == ["w", "p"]
    assert isinstance(answers[0], VersionConflict)
