"""Metrics over HTTP: the last hour of a VPS, for its owner."""

import asyncio

import pytest

from api.application.guest_metrics import collect_metrics, sweep_metrics
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


async def test_an_owner_is_told_what_a_vps_uses(here: House, ann: Customer, bob: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        await collect_metrics(here.runtime)
        await asyncio.sleep(0.01)
        await collect_metrics(here.runtime)
        await sweep_metrics(here.runtime)
    told = await ann.ask("GET", f"/api/vps/{vps_id}/metrics")
    anothers = await bob.ask("GET", f"/api/vps/{vps_id}/metrics")

    assert told.json()["step_seconds"] == 10
    sample = told.json()["samples"][-1]
    assert sample["memory_bytes"] > 0
    assert sample["network_sent_bytes_per_second"] is None
    assert anothers.status_code == 404


async def test_a_host_that_does_not_answer_keeps_no_other_from_being_asked(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
    here.host.faults.unreachable = True
    await collect_metrics(here.runtime)

    assert (await ann.ask("GET", f"/api/vps/{vps_id}/metrics")).json()["samples"] == []
