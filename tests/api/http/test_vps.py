"""VPSs and commands over HTTP, on played hosts."""

import asyncio
import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from adapters.simulated.hypervisor import SimulatedHypervisor
from api.application.jobs import collect_job
from api.application.repository import CommandContext
from domain.blobs import Blob
from domain.compute.egress import NONE, OPEN, allowing
from domain.compute.events import VpsRequested
from domain.compute.ports import GuestSpec
from domain.deciding import recorded_in
from domain.events import Actor
from domain.ids import PRICING_STREAM, JobId, PlanId, VpsId
from domain.money import MicroUsd
from domain.pricing.commands import DefinePlan
from domain.pricing.price_book import PRICES, define_plan
from tests.api.houses import Customer, House
from tests.api.http.funds import recorded

pytestmark = pytest.mark.anyio


async def test_the_quick_start(here: House, ann: Customer) -> None:
    async with here.working():
        made = await ann.ask("POST", "/api/vps", json={"name": "my-vm", "plan_id": await here.nano()})
        assert (made.status_code, made.json()["state"]) == (201, "creating")
        assert made.headers["x-balance-remaining"] == "10.0000"
        vps_id = made.json()["id"]

        running = await ann.until(vps_id, "running")
        assert running["ssh_host"] == "127.0.0.1"
        assert running["ssh_host_key"].startswith("ssh-ed25519 ")
        assert running["started_at"] is not None

        done = await ann.ask("POST", f"/api/vps/{vps_id}/exec", json={"command": "uname -a"})
        assert done.status_code == 200
        assert done.json()["stdout"].startswith("Linux my-vm ")
        assert (done.json()["exit_code"], done.json()["truncated"]) == (0, False)

        job = await ann.ask("GET", f"/api/jobs/{done.json()['job_id']}")
        assert job.json()["stdout"] == done.json()["stdout"]
        assert (job.json()["status"], job.json()["command"]) == ("done", "uname -a")

        assert (await ann.ask("DELETE", f"/api/vps/{vps_id}")).status_code == 204
        assert (await ann.ask("GET", f"/api/vps/{vps_id}")).status_code == 404
        assert (await ann.ask("DELETE", f"/api/vps/{vps_id}")).status_code == 404
        assert (await ann.ask("GET", "/api/vps")).json() == []


async def test_what_cannot_be_paid_for_an_hour_is_402(here: House, bob: Customer) -> None:
    await bob.credit(4_199)
    response = await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})

    assert response.status_code == 402
    assert response.text == (
        '{"error":"insufficient balance","code":"insufficient_balance",'
        '"balance":0.0041,"required":0.0042,"shortfall":0.000001,"top_up":5,"balance_micros":4199}'
    )
    assert response.headers["x-balance-remaining"] == "0.0041"


async def test_required_is_the_sum_of_all_hours(here: House, bob: Customer) -> None:
    await bob.credit(8_399)
    nano = await here.nano()
    first = await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": nano})
    second = await bob.ask("POST", "/api/vps", json={"name": "b", "plan_id": nano})

    assert (first.status_code, second.status_code) == (201, 402)
    assert '"required":0.0084' in second.text


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "x" * 64, "ä", "a\n"])
async def test_a_name_is_a_host_name_label(shared: House, anybody: Customer, name: str) -> None:
    response = await anybody.ask("POST", "/api/vps", json={"name": name, "plan_id": await shared.nano()})

    assert response.status_code == 400
    assert set(response.json()["fields"]) == {"name"}


async def test_a_vps_is_stopped_started_and_restarted(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        made = (await ann.ask("GET", f"/api/vps/{vps_id}")).json()
        assert made["status_reason"] in ("scheduling", "booting", None)
        early = await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        assert (early.status_code, early.json()["error"]) == (409, "vps is creating")
        await ann.until(vps_id, "running")

        assert (await ann.ask("POST", f"/api/vps/{vps_id}/start")).status_code == 200
        restart = await ann.ask("POST", f"/api/vps/{vps_id}/restart")
        assert (restart.status_code, restart.json()["pending"]) == (202, "restart")
        await ann.until(vps_id, "running")
        stop = await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        assert (stop.status_code, stop.json()["pending"]) == (202, "stop")
        await ann.until(vps_id, "stopped")
        again = await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        assert (again.status_code, again.json()["state"]) == (200, "stopped")
        assert again.json()["status_reason"] == "requested"
        ran = await ann.ask("POST", f"/api/vps/{vps_id}/exec", json={"command": "true"})
        assert (ran.status_code, ran.json()["error"]) == (409, "vps is not running")
        started = await ann.ask("POST", f"/api/vps/{vps_id}/start")
        assert (started.status_code, started.json()["pending"]) == (202, "start")
        await ann.until(vps_id, "running")

    events = await ann.ask("GET", f"/api/vps/{vps_id}/events", params={"limit": 100})
    told = [one["event"] for one in events.json()]
    assert told[-1] == "compute.vps-requested.v2"
    assert told.count("compute.vps-running.v1") == 2


async def test_what_is_anothers_does_not_exist(here: House, ann: Customer, bob: Customer) -> None:
    vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
    nowhere = "01937b1e-5c00-7000-8000-000000000001"
    calls = [
        ("GET", "", None),
        ("DELETE", "", None),
        ("PATCH", "", {"name": "b"}),
        ("POST", "/start", None),
        ("POST", "/stop", None),
        ("POST", "/restart", None),
        ("GET", "/events", None),
        ("POST", "/exec", {"command": "true"}),
    ]
    for method, path, body in calls:
        anothers = await bob.ask(method, f"/api/vps/{vps_id}{path}", json=body)
        nobodys = await bob.ask(method, f"/api/vps/{nowhere}{path}", json=body)
        no_id = await bob.ask(method, f"/api/vps/nonsense{path}", json=body)
        assert anothers.status_code == nobodys.status_code == no_id.status_code == 404
        assert anothers.content == nobodys.content == no_id.content == b'{"error":"not found","code":"not_found"}'
        assert set(anothers.headers) == set(nobodys.headers)


async def test_a_command_past_its_time_limit_is_504_with_its_output(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        body = {"command": "echo begun; sleep 60", "timeout_seconds": 1}
        response = await ann.ask("POST", f"/api/vps/{vps_id}/exec", json=body)

    assert (response.status_code, response.json()["error"]) == (504, "command timed out")
    assert response.json()["stdout"] == "begun\n"
    assert response.json()["code"] == "command_timed_out"


async def test_a_command_that_is_awaited_when_the_service_ends_is_503_and_goes_on(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        body = {"command": "echo begun; sleep 1"}
        asking = asyncio.create_task(ann.ask("POST", f"/api/vps/{vps_id}/exec", json=body))
        await asyncio.sleep(0.2)
        here.runtime.ending.set()
        response = await asking
        assert (response.status_code, response.json()["code"]) == (503, "ending")
        assert response.headers["retry-after"] == "1"
    job_id = response.json()["job_id"]
    assert (await ann.ask("GET", f"/api/jobs/{job_id}")).json()["status"] != "done"
    await collect_job(here.runtime.worker, JobId(UUID(job_id)))  # As a worker does later.
    job = (await ann.ask("GET", f"/api/jobs/{job_id}")).json()
    assert (job["status"], job["stdout"], job["exit_code"]) == ("done", "begun\n", 0)


async def test_lists_come_in_pages_and_can_be_filtered(here: House, ann: Customer) -> None:
    nano = await here.nano()
    for number in range(3):
        body = {"name": f"vm-{number}", "plan_id": nano, "labels": {"role": "web" if number else "db"}}
        assert (await ann.ask("POST", "/api/vps", json=body)).status_code == 201

    page = await ann.ask("GET", "/api/vps", params={"limit": 1, "offset": 1})
    assert [vps["name"] for vps in page.json()] == ["vm-1"]
    assert page.headers["x-total-count"] == "3"
    assert re.fullmatch(
        r'<http://127\.0\.0\.1:8000/api/vps\?limit=1&cursor=before\.[0-9a-f-]+>; rel="next", '
        r'<http://127\.0\.0\.1:8000/api/vps\?limit=1&cursor=after\.[0-9a-f-]+>; rel="prev"',
        page.headers["link"],
    )

    async def names(**asked: str) -> list[str]:
        return [vps["name"] for vps in (await ann.ask("GET", "/api/vps", params=asked)).json()]

    assert await names() == ["vm-2", "vm-1", "vm-0"]
    assert await names(name="vm-1") == ["vm-1"]
    assert await names(label="role=db") == ["vm-0"]
    assert await names(label="role") == ["vm-2", "vm-1", "vm-0"]
    assert await names(state="running") == []


async def test_a_vps_is_renamed_and_labelled_and_found_by_that(here: House, ann: Customer) -> None:
    async with here.working():
        body = {"name": "web", "plan_id": await here.nano(), "labels": {"role": "web"}}
        vps_id = (await ann.ask("POST", "/api/vps", json=body)).json()["id"]
        await ann.until(vps_id, "running")
        path = f"/api/vps/{vps_id}"
        changed = await ann.ask("PATCH", path, json={"name": "db", "labels": {"role": "db"}})
        assert changed.status_code == 200
        assert (changed.json()["name"], changed.json()["labels"]) == ("db", {"role": "db"})
        assert (await ann.ask("PATCH", path, json={})).json()["name"] == "db"

        async def found(**asked: str) -> list[str]:
            return [vps["name"] for vps in (await ann.ask("GET", "/api/vps", params=asked)).json()]

        assert await found(name="web") == await found(label="role=web") == []
        assert await found(name="db") == await found(label="role=db") == ["db"]

        # Its guest is told so at the next start.
        uname = {"command": "uname -a"}
        assert (await ann.ask("POST", f"{path}/exec", json=uname)).json()["stdout"].startswith("Linux web ")
        await ann.ask("POST", f"{path}/stop")
        await ann.until(vps_id, "stopped")
        await ann.ask("POST", f"{path}/start")
        await ann.until(vps_id, "running")
        assert (await ann.ask("POST", f"{path}/exec", json=uname)).json()["stdout"].startswith("Linux db ")

    events = (await ann.ask("GET", f"{path}/events", params={"limit": 100})).json()
    told = {one["event"]: one["facts"] for one in events}
    assert set(told["compute.vps-renamed.v1"]) == set(told["compute.vps-labelled.v1"]) == {"at"}


@pytest.mark.parametrize(
    "body", [{"name": None}, {"name": "A"}, {"labels": None}, {"labels": {"": "b"}}, {"state": "stopped"}, []]
)
async def test_a_change_that_cannot_be_meant_changes_nothing(here: House, ann: Customer, body: object) -> None:
    vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
    head = await here.runtime.store.head()

    refused = await ann.ask("PATCH", f"/api/vps/{vps_id}", json=body)

    assert (refused.status_code, await here.runtime.store.head()) == (400, head)


async def test_a_vps_tells_when_its_time_is_over_and_can_be_given_more_or_no_end(here: House, ann: Customer) -> None:
    body = {"name": "web", "plan_id": await here.nano(), "ttl_minutes": 5}
    made = await ann.ask("POST", "/api/vps", json=body)
    assert made.status_code == 201
    path = f"/api/vps/{made.json()['id']}"
    created_at, expires_at = map(datetime.fromisoformat, (made.json()["created_at"], made.json()["expires_at"]))
    assert expires_at - created_at == timedelta(minutes=5)

    longer = (await ann.ask("PATCH", path, json={"ttl_minutes": 60})).json()
    assert datetime.fromisoformat(longer["expires_at"]) >= created_at + timedelta(minutes=60)
    endless = (await ann.ask("PATCH", path, json={"ttl_minutes": None})).json()
    assert endless["expires_at"] is None
    for wrong in (0, -5, 1.5, "5", 10**9):
        assert (await ann.ask("PATCH", path, json={"ttl_minutes": wrong})).status_code == 400
        assert (await ann.ask("POST", "/api/vps", json=body | {"ttl_minutes": wrong})).status_code == 400


async def test_a_vps_that_is_stopped_is_resized_and_its_disk_only_grows(here: House, ann: Customer) -> None:
    command = DefinePlan(PlanId(here.runtime.ids.new()), "Large", 4, 2048, 40, MicroUsd(33_600))
    await here.runtime.aggregates.execute(
        [PRICES],
        lambda loaded, now: recorded_in(PRICING_STREAM, *define_plan(loaded.of(PRICES), command, now)),
        CommandContext(actor=Actor("operator"), step="plan"),
    )
    small, big = (await ann.ask("GET", "/api/pricing")).json()
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": small["id"]})).json()["id"]
        path = f"/api/vps/{vps_id}"
        await ann.until(vps_id, "running")
        early = await ann.ask("PATCH", path, json={"plan_id": big["id"], "name": "b"})
        assert (early.status_code, early.json()["code"]) == (409, "vps_not_stopped")
        await ann.ask("POST", f"{path}/stop")
        await ann.until(vps_id, "stopped")

        resized = (await ann.ask("PATCH", path, json={"plan_id": big["id"]})).json()
        assert {name: resized[name] for name in ("vcpu", "memory_mb", "disk_gb", "price_hourly")} == {
            name: big[name] for name in ("vcpu", "memory_mb", "disk_gb", "price_hourly")
        }
        assert resized["name"] == "a"
        back = await ann.ask("PATCH", path, json={"plan_id": small["id"]})
        assert (back.status_code, back.json()["code"]) == (409, "disk_cannot_shrink")
        assert (back.json()["disk_gb"], back.json()["plan_disk_gb"]) == (big["disk_gb"], small["disk_gb"])

        await ann.ask("POST", f"{path}/start")
        await ann.until(vps_id, "running")
        spec = here.host.guests[VpsId(UUID(vps_id))].spec
        assert (spec.vcpu, spec.memory_mb, spec.disk_gb) == (big["vcpu"], big["memory_mb"], big["disk_gb"])
    nothing = await ann.ask("PATCH", path, json={"plan_id": "01937b1e-5c00-7000-8000-000000000001"})
    assert nothing.status_code == 409


async def test_a_plan_follows_from_sizes(here: House, ann: Customer) -> None:
    made = await ann.ask("POST", "/api/vps", json={"name": "a", "memory_mb": 100})
    too_big = await ann.ask("POST", "/api/vps", json={"name": "b", "memory_mb": 10**9})
    nothing = await ann.ask("POST", "/api/vps", json={"name": "c"})

    assert (made.status_code, made.json()["memory_mb"]) == (201, 512)
    assert (too_big.status_code, set(too_big.json()["fields"])) == (400, {"memory_mb"})
    assert (nothing.status_code, set(nothing.json()["fields"])) == (400, {"plan_id"})


async def test_a_dry_run_tells_what_it_would_come_to_and_does_nothing(here: House, bob: Customer) -> None:
    await bob.credit(4_200)
    body, store = {"name": "a", "plan_id": await here.nano()}, here.runtime.store
    before = await store.head()
    key = {"idempotency-key": "first"}
    quote = await bob.ask("POST", "/api/vps", headers=key, params={"dry_run": "true"}, json=body)

    assert (quote.status_code, await store.head()) == (200, before)
    told = quote.json()
    lasts_until = told.pop("lasts_until")
    assert told == {
        "dry_run": True,
        "plan_id": body["plan_id"],
        "plan": "Nano",
        "price_hourly": 0.0042,
        "balance": 0.0042,
        "balance_micros": 4200,
        "required": 0.0042,
        "sufficient": True,
        "would_be": 201,
        "code": None,
        "error": None,
        "shortfall": 0,
        "owed": 0,
        "token_left": None,
        "token_required": None,
        "lasts_minutes": 60,
    }
    assert lasts_until.endswith("Z")
    assert "x-balance-exhausts-at" not in quote.headers
    made = await bob.ask("POST", "/api/vps", headers=key, json=body)
    assert (made.status_code, "idempotency-replayed" in made.headers) == (201, False)


async def test_a_dry_run_is_refused_only_for_what_money_does_not_mend(here: House, bob: Customer) -> None:
    nano = await here.nano()
    for body in ({"name": "A", "plan_id": nano}, {"name": "a"}, {"name": "a", "plan_id": nano, "ssh_key_ids": [nano]}):
        real = await bob.ask("POST", "/api/vps", json=body)
        dry = await bob.ask("POST", "/api/vps", params={"dry_run": "true"}, json=body)
        assert (dry.status_code, dry.json()) == (real.status_code, real.json())
        assert dry.status_code == 400
    poor = await bob.ask("POST", "/api/vps", params={"dry_run": "true"}, json={"name": "a", "plan_id": nano})
    told = poor.json()
    assert (poor.status_code, told["would_be"], told["sufficient"]) == (200, 402, False)
    assert (told["code"], told["shortfall"]) == ("insufficient_balance", 0.0042)


async def test_a_start_can_be_quoted_as_well(here: House, bob: Customer) -> None:
    await bob.credit(8_400)
    async with here.working():
        vps_id = (await bob.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await bob.until(vps_id, "running")
        on = await bob.ask("POST", f"/api/vps/{vps_id}/start", params={"dry_run": "true"})
        await bob.ask("POST", f"/api/vps/{vps_id}/stop")
        await bob.until(vps_id, "stopped")
        off = await bob.ask("POST", f"/api/vps/{vps_id}/start", params={"dry_run": "true"})

    assert (on.json()["would_be"], on.json()["required"]) == (200, 0.0042)
    assert (off.status_code, off.json()["would_be"]) == (200, 202)
    assert (await bob.ask("GET", f"/api/vps/{vps_id}")).json()["state"] == "stopped"


async def test_a_large_script_for_the_first_boot_is_kept_beside_its_event_and_comes_to_the_host(
    here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts: list[str | None] = []
    prepare = SimulatedHypervisor.ensure_prepared

    async def prepared(hypervisor: SimulatedHypervisor, spec: GuestSpec) -> None:
        scripts.append(spec.user_data)
        await prepare(hypervisor, spec)

    monkeypatch.setattr(SimulatedHypervisor, "ensure_prepared", prepared)
    script = "#!/bin/sh\n" + "echo ready\n" * 1_000
    async with here.working():
        body = {"name": "a", "plan_id": await here.nano(), "user_data": script}
        vps_id = (await ann.ask("POST", "/api/vps", json=body)).json()["id"]
        await ann.until(vps_id, "running")

    [requested] = await recorded(here, VpsRequested)
    assert isinstance(requested, VpsRequested)
    assert isinstance(requested.user_data, Blob)
    assert (requested.user_data.size_bytes, set(scripts)) == (len(script), {script})


async def test_an_owner_says_what_a_guest_may_reach_and_its_host_is_told(here: House, ann: Customer) -> None:
    async with here.working():
        wishes = ["*.Example.org", "9.9.9.9"]
        body = {"name": "a", "plan_id": await here.nano(), "egress": {"allow": wishes}}
        made = (await ann.ask("POST", "/api/vps", json=body)).json()
        listed = {"allow": ["*.example.org", "9.9.9.9/32"]}
        assert made["egress"] == listed
        await ann.until(made["id"], "running")
        guest = here.host.guests[VpsId(UUID(made["id"]))]
        assert guest.spec.egress == allowing(wishes)
        assert [vps["egress"] for vps in (await ann.ask("GET", "/api/vps")).json()] == [listed]

        for wanted, policy in (("none", NONE), ("open", OPEN)):
            path = f"/api/vps/{made['id']}"
            assert (await ann.ask("PATCH", path, json={"egress": wanted})).json()["egress"] == wanted
            for _ in range(500):
                if guest.spec.egress == policy:
                    break
                await asyncio.sleep(0.02)
            assert guest.spec.egress == policy
    assert guest.boots == 1, "no start is needed for it"


@pytest.mark.parametrize(
    "egress",
    ["closed", ["example.org"], {"allow": ["10.0.0.0/8"]}, {"allow": ["*"]}, {"deny": []}, {"allow": ["a.b"] * 65}],
)
async def test_what_no_guest_may_reach_cannot_be_asked_for(here: House, ann: Customer, egress: object) -> None:
    body = {"name": "a", "plan_id": await here.nano(), "egress": egress}
    refused = await ann.ask("POST", "/api/vps", json=body)
    assert refused.status_code == 400
    assert [field.partition(".")[0] for field in refused.json()["fields"]] == ["egress"]


async def test_of_a_vps_that_is_refused_no_script_is_kept(here: House, bob: Customer) -> None:
    body = {"name": "a", "plan_id": await here.nano(), "user_data": "#!/bin/sh\n" + "echo ready\n" * 1_000}

    assert (await bob.ask("POST", "/api/vps", json=body)).status_code == 402

    assert await here.sql("SELECT FROM work.blob") == []
