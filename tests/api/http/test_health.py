"""Readiness: what is told of the parts, and how seldom they are asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from httpx import ASGITransport, AsyncClient

from api.application import readiness
from api.http.app import create_app
from domain.compute.ports import HypervisorUnavailable
from domain.ports import StoreUnavailable
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


class AskedHost:
    """A host that takes its time to answer, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False

    async def observe(self) -> None:
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.is_away:
            raise HypervisorUnavailable("away")


@asynccontextmanager
async def client_of(here: House, host: AskedHost) -> AsyncIterator[AsyncClient]:
    worker = msgspec.structs.replace(here.runtime.worker, hypervisors={here.host.host_id: host})
    app = create_app(msgspec.structs.replace(here.runtime, worker=worker))
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://x") as client:
        yield client


async def test_hosts_are_asked_once_for_all_who_ask_within_a_while(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = AskedHost()
    async with client_of(here, host) as client:
        answers = await asyncio.gather(*(client.get("/api/ready") for _ in range(20)))
        answers.append(await client.get("/api/ready"))
        assert ({answer.status_code for answer in answers}, host.asked) == ({200}, 1)

    host.is_away = True
    monkeypatch.setattr(readiness, "VERDICT_KEPT_S", 0.0)
    async with client_of(here, host) as client:
        away = await client.get("/api/ready")
        assert (away.status_code, away.json()["hosts"]) == (503, "1 of 1 unavailable")
        host.is_away = False
        assert (await client.get("/api/ready")).status_code == 200


async def test_a_store_that_is_away_is_told_beside_the_other_parts(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> int:
        raise StoreUnavailable("away")

    monkeypatch.setattr(here.runtime.store, "head", away)
    response = await here.client.get("/api/ready")

    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert (response.json()["store"], response.json()["hosts"]) == ("unavailable", "ok")


async def test_a_service_without_a_mail_server_is_ready_and_tells_how_much_waits(here: House, ann: Customer) -> None:
    await ann.ask("PUT", "/api/billing/alerts", json={"email": "ops@example.com"})

    response = await here.client.get("/api/ready")

    assert (response.status_code, response.json()["mail"]) == (200, "no mail server is set: 2 wait")
