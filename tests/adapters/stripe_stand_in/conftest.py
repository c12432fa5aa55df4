"""A served stand-in and its client, for the tests of this folder."""

from collections.abc import AsyncIterator

import pytest
import stripe

from adapters.stripe_stand_in.application import StripeStandIn
from tests.stripe_stand_ins import TestClock, serving


@pytest.fixture
def clock() -> TestClock:
    """Return the clock of the stand-in."""
    return TestClock()


@pytest.fixture
async def served_stand_in(clock: TestClock) -> AsyncIterator[tuple[StripeStandIn, stripe.StripeClient]]:
    """Serve a stand-in that forgets everything afterwards."""
    async with serving(clock=clock) as both:
        yield both


@pytest.fixture
def stand_in(served_stand_in: tuple[StripeStandIn, stripe.StripeClient]) -> StripeStandIn:
    """Return the stand-in."""
    return served_stand_in[0]


@pytest.fixture
def client(served_stand_in: tuple[StripeStandIn, stripe.StripeClient]) -> stripe.StripeClient:
    """Return the official client."""
    return served_stand_in[1]
