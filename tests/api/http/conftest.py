"""A house for each test."""

from collections.abc import AsyncIterator

import pytest

from api.http.pipeline.connections import Limits
from tests.api.houses import Customer, House, house
from tests.api.http.wire import serving
from tests.databases import Databases


@pytest.fixture
async def here(databases: Databases) -> AsyncIterator[House]:
    """A service over a fresh database."""
    async with house(databases) as made:
        yield made


@pytest.fixture(scope="module")
async def shared(databases: Databases) -> AsyncIterator[House]:
    """One service for all tests of a file that only ask for what is refused, or for what is their customer's own."""
    async with house(databases) as made:
        yield made


@pytest.fixture
async def anybody(shared: House) -> Customer:
    """A customer with 10 USD, at a service that others ask as well."""
    customer = await shared.register()
    await customer.credit(10_000_000)
    return customer


@pytest.fixture
async def ann(here: House) -> Customer:
    """A customer with 10 USD."""
    customer = await here.register("ann@example.com")
    await customer.credit(10_000_000)
    return customer


@pytest.fixture
async def bob(here: House) -> Customer:
    """Another customer, with nothing."""
    return await here.register("bob@example.com")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Stripe's client try again at once."""
    monkeypatch.setattr("stripe.HTTPXClient.INITIAL_DELAY", 0.001)
    monkeypatch.setattr("stripe.HTTPXClient.MAX_DELAY", 0.001)


@pytest.fixture
async def port(here: House, free_port: int) -> AsyncIterator[int]:
    """The port of a real server of the service."""
    async with serving(here, free_port, Limits()) as served:
        yield served
