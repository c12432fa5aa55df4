"""Billing agrees with the reference after any history, in memory and on PostgreSQL."""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from domain.ports import EventStore
from tests.properties.machine import Billing

EXAMPLES_MAX = settings.get_profile("quick").max_examples
LONG = settings().max_examples > EXAMPLES_MAX


def test_billing_agrees_with_the_reference_whatever_happens() -> None:
    class InMemory(Billing):
        async def open_store(self) -> EventStore:
            return MemoryEventStore(self.clock)

    examples = settings().max_examples if LONG else 150
    run_state_machine_as_test(InMemory, settings=settings(max_examples=examples, stateful_step_count=40))


@pytest.mark.slow
def test_billing_agrees_with_the_reference_on_postgresql(database_url: str) -> None:
    class OnPostgreSQL(Billing):
        async def open_store(self) -> EventStore:
            return await self.stack.enter_async_context(PostgresEventStore(database_url))

    examples = settings().max_examples // 20 if LONG else 8
    run_state_machine_as_test(OnPostgreSQL, settings=settings(max_examples=examples, stateful_step_count=30))
