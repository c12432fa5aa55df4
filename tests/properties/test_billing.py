"""Billing agrees with the reference after any history, in memory and on PostgreSQL."""

import itertools

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from adapters.memory.event_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from domain.ports import EventStore
from domain.time import MICROSECONDS_PER_SECOND as SECOND
from domain.time import MINUTE
from domain.wallet import metering
from tests.properties.machine import Billing
from tests.properties.paying import Paying

EXAMPLES_MAX = settings.get_profile("quick").max_examples
LONG = settings().max_examples > EXAMPLES_MAX


class InMemory(Billing):
    async def open_store(self) -> EventStore:
        return MemoryEventStore(self.clock)


def test_billing_agrees_with_the_reference_whatever_happens() -> None:
    examples = settings().max_examples if LONG else 300
    run_state_machine_as_test(InMemory, settings=settings(max_examples=examples, stateful_step_count=40))


def test_a_login_within_a_paid_minute_pays_no_second_one_after_the_clock_stepped_back() -> None:
    """The next start begins before minutes that were waived, and yet within one that was paid before them."""
    state = InMemory()
    try:
        state.begin(prices=(60, 60), hours=1, more=0, vpss=1)
        state.mishap_on_the_host(which=0, mishap="off", delay=MINUTE + SECOND, looked_at=True)
        state.ask(which=0, verb="start", repeated=False)
        state.the_clock_steps_back(span=MINUTE)
        state.boot(which=0, until_login=True, fails=False)
        state.tick(schedulers=1)
        state.product_and_reference_agree()
    finally:
        state.teardown()


def test_a_dearer_price_stops_nothing_that_a_paid_minute_covers_after_the_clock_stepped_back() -> None:
    state = InMemory()
    try:
        state.begin(prices=(0, 0), hours=1, more=0, vpss=1)
        state.mishap_on_the_host(which=0, mishap="off", delay=10 * MINUTE, looked_at=True)
        state.ask(which=0, verb="start", repeated=False)
        state.the_clock_steps_back(span=90 * MINUTE)
        state.boot(which=0, until_login=True, fails=False)
        state.reprice(plan=0, price=1_000_000, ahead=0)
        state.time_passes(span=2 * MINUTE, watched=True, schedulers=1)
        state.product_and_reference_agree()
    finally:
        state.teardown()


def test_a_minute_before_a_new_price_keeps_the_old_one_though_the_plan_was_made_by_a_clock_ahead() -> None:
    state = InMemory()
    try:
        state.begin(prices=(60, 60), hours=1, more=0, vpss=0)
        state.create(plan=0, repeated=False, on=False)
        state.the_clock_steps_back(span=90 * MINUTE)
        state.boot(which=0, until_login=True, fails=False)
        state.reprice(plan=0, price=1_000_000, ahead=0)
        state.tick(schedulers=1)
        state.product_and_reference_agree()
        assert state.amounts == {"paid": 1}
    finally:
        state.teardown()


class PayingInMemory(Paying):
    async def open_store(self) -> EventStore:
        return MemoryEventStore(self.clock)


def test_whatever_is_paid_and_goes_back_agrees_with_the_reference() -> None:
    examples = settings().max_examples if LONG else 60
    run_state_machine_as_test(PayingInMemory, settings=settings(max_examples=examples, stateful_step_count=50))


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


@pytest.mark.slow
def test_whatever_is_paid_and_goes_back_agrees_on_postgresql(database_url: str) -> None:
    beginnings = itertools.count()

    class OnPostgreSQL(Paying):
        async def open_store(self) -> EventStore:
            # All share one ledger, in which a sweep goes on from where the last one came to.
            self.clock.advance(next(beginnings) * 365 * 24 * 3600)
            return await self.stack.enter_async_context(PostgresEventStore(database_url))

    examples = settings().max_examples // 20 if LONG else 10
    run_state_machine_as_test(OnPostgreSQL, settings=settings(max_examples=examples, stateful_step_count=30))
