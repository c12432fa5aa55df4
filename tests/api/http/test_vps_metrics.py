"""Metrics over HTTP: the last hour of a VPS, for its owner."""

import asyncio

import httpx
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.application.guest_metrics import collect_metrics, sweep_metrics
from api.http.app import create_app
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


async def test_prometheus_reads_all_of_it_by_a_token_and_nobody_else_does(here: House, ann: Customer) -> None:
    token = "t" * 32
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        await collect_metrics(here.runtime)
    unset = await here.client.get("/metrics", headers={"authorization": f"Bearer {token}"})
    settings = msgspec.structs.replace(here.runtime.settings, metrics_token=token)
    app = create_app(msgspec.structs.replace(here.runtime, settings=settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://litevps.test") as prometheus:
        told = await prometheus.get("/metrics", headers={"authorization": f"Bearer {token}"})
        wrong = await prometheus.get("/metrics", headers={"authorization": f"Bearer {token}x"})
        none = await prometheus.get("/metrics")

    assert (unset.status_code, wrong.status_code, none.status_code) == (404, 401, 401)
    assert told.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(told.text)}
    assert [sample.labels["vps_id"] for sample in families["litevps_vps_memory_bytes"].samples] == [vps_id]
    assert families["litevps_vps_cpu_seconds"].type == "counter"
    assert families["litevps_vps_on"].samples[0].value == 1
    assert not families["litevps_vps_network_sent_bytes"].samples, "what nobody saw is not told as 0"
