"""An account is closed and its address registered anew: the ledger is sound before, between and after."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.evidence import PostgresEvidence
from api.application.audit.verify import verify
from api.application.seed_data import ensure_plans
from projections.catalogue import READ_MODELS
from projections.generation import install
from tests.api.houses import PASSWORD, House
from tests.api.mailed_house import ALERTS_PATH, OPS
from tests.journeys.stored_houses import following, stored_house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stored(database_url: str, owner_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A service on PostgreSQL that keeps its read models up."""
    await asyncio.to_thread(install, owner_url, READ_MODELS)
    async with stored_house(database_url, tmp_path) as made, following(made.runtime, database_url):
        await ensure_plans(made.runtime)
        yield made


async def faults(house: House, database_url: str) -> dict[str, list[str]]:
    """Return what an audit finds, once the read models are there."""
    runtime = house.runtime
    assert runtime.read_models is not None
    await runtime.read_models.caught_up(await runtime.store.head(), *READ_MODELS)
    async with PostgresEventStore(database_url) as store:
        report = await verify(store, PostgresEvidence(database_url), database_url, READ_MODELS)
    return {check.promise: check.findings for check in report.checks if check.faults}


async def test_a_ledger_stays_sound_when_an_account_is_closed_and_its_address_used_anew(
    stored: House, database_url: str
) -> None:
    ann = await stored.register("ann@example.com")
    await ann.credit(10_000_000)
    await ann.ask("PUT", ALERTS_PATH, json={"email": OPS})
    token = {"name": "ci", "scopes": ["vps:read"], "spend_limit": 5.00, "limit_window": "month"}
    assert (await ann.ask("POST", "/api/tokens", json=token)).status_code == 201
    vps = {"name": "web-01", "plan_id": await stored.nano()}
    assert (await ann.ask("POST", "/api/vps", json=vps)).status_code == 201
    assert await faults(stored, database_url) == {}

    left = await ann.ask("DELETE", "/api/me", json={"password": PASSWORD})
    assert left.status_code in (200, 202), left.text
    assert await faults(stored, database_url) == {}

    anew = await stored.register("Ann@example.com")
    assert anew.id != ann.id
    assert await faults(stored, database_url) == {}
    assert (await anew.ask("DELETE", "/api/me", json={"password": PASSWORD})).status_code in (200, 202)
    assert await faults(stored, database_url) == {}
