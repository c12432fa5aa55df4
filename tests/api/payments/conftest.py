"""A world with payments for each test."""

import pytest

from adapters.simulated.clock import ManualClock
from tests.api.payments.payment_world import PaymentWorld
from tests.storage import OpenStorage


@pytest.fixture
async def world(open_storage: OpenStorage) -> PaymentWorld:
    """Return a world with one customer, over a fresh database."""
    clock = ManualClock()
    return PaymentWorld(await open_storage(clock), clock)
