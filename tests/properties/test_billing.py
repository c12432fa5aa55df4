"""Billing agrees with the reference after any history, in memory and on PostgreSQL."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from domain.ports import EventStore
from domain.wallet import metering
from tests.properties.machine import Billing

EXAMPLES_MAX = settings.get_profile("quick").max_examples
LONG = settings().max_examples > EXAMPLES_MAX


class InMemory(Billing):
    async def open_store(self) -> EventStore:
        return MemoryEventStore(self.clock)


def test_billing_agrees_with_the_reference_whatever_happens() -> None:
    examples = settings().max_examples if LONG else 300
    run_state_machine_as_test(InMemory, settings=settings(max_examples=examples, stateful_step_count=40))


def test_billing_in_the_smallest_portions_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "LINES_MAX", 2)
    monkeypatch.setattr(metering, "SINGLE_MINUTES_MAX", 3)

    examples = settings().max_examples // 4 if LONG else 150
    run_state_machine_as_test(InMemory, settings=settings(max_examples=examples, stateful_step_count=40))


@pytest.mark.slow
def test_billing_agrees_with_the_reference_on_postgresql(database_url: str) -> None:
    class OnPostgreSQL(Billing):
        async def open_store(self) -> EventStore:
            return await self.stack.enter_async_context(PostgresEventStore(database_url))

    examples = settings().max_examples // 20 if LONG else 40
    run_state_machine_as_test(OnPostgreSQL, settings=settings(max_examples=examples, stateful_step_count=30))
