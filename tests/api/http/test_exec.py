"""Commands over HTTP: one that no guest could run is refused, and what one read is not needed to tell of it."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from domain.exec.events import JobRequested
from domain.ids import JobId, job_stream
from tests.api.compute_world import until
from tests.api.houses import Customer, House
from tests.api.http.funds import recorded

pytestmark = pytest.mark.anyio


BODIES: tuple[tuple[str, dict[str, object]], ...] = (
    ("env", {"env": {"FOO\n": "x"}}),
    ("env", {"env": {"FOO": "x" * 131_068}}),
    ("command", {"command": "x" * 131_072}),
    ("user", {"user": "root\n"}),
    ("cwd", {"cwd": "/" + "a" * 256}),
    ("cwd", {"cwd": "tmp"}),
    ("timeout_seconds", {"timeout_seconds": 0}),
    ("timeout_seconds", {"timeout_seconds": 3601}),
)


async def test_what_no_guest_could_run_is_400_and_leaves_no_job(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        told = [
            await ann.ask("POST", f"/api/vps/{vps_id}/exec", json={"command": "true", **body}) for _, body in BODIES
        ]

    assert [(one.status_code, set(one.json().get("fields", {}))) for one in told] == [
        (400, {field}) for field, _ in BODIES
    ]
    assert await recorded(here, JobRequested) == []


async def test_a_command_is_told_of_without_a_look_at_what_it_read(here: House, ann: Customer) -> None:
    large = "x" * 5_000
    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        body = {"command": f"cat; true {large}", "env": {"LARGE": large}, "stdin": "in"}
        done = (await ann.ask("POST", f"/api/vps/{vps_id}/exec", json=body)).json()
    stream = job_stream(JobId(UUID(done["job_id"])))
    await here.sql("DELETE FROM work.blob WHERE stream = %s AND field IN ('env', 'stdin')", [stream])

    told = await ann.ask("GET", f"/api/jobs/{done['job_id']}")

    assert (told.status_code, told.json()["command"], told.json()["stdout"]) == (200, body["command"], "in")


async def test_a_command_that_runs_holds_what_it_reads_no_more_than_once(here: House, ann: Customer) -> None:
    at_once, megabyte = 8, 1_000_000
    body = b'{"command":"sleep 60","timeout_seconds":90,"stdin":"' + b"x" * megabyte + b'"}'

    async def in_parts() -> AsyncIterator[bytes]:
        yield body[:megabyte]
        yield body[megabyte:]

    async with here.working():
        vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
        await ann.until(vps_id, "running")
        tracemalloc.start()
        try:
            path, headers = f"/api/vps/{vps_id}/exec", {"content-type": "application/json"}
            running = [asyncio.create_task(ann.ask("POST", path, headers, content=in_parts())) for _ in range(at_once)]
            [guest] = here.host.guests.values()
            await until(lambda: len(guest.jobs) == at_once)
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        await asyncio.gather(*running)

    assert held_bytes < at_once * megabyte * 1.5


@pytest.mark.parametrize("text", ["touch /root/ran", "#!/bin/sh\r\ntrue\r\n", "\n#!/bin/sh\n", "#cloud-config\n"])
async def test_user_data_that_cannot_run_is_400(here: House, ann: Customer, text: str) -> None:
    body = {"name": "a", "plan_id": await here.nano(), "user_data": text}
    refused = await ann.ask("POST", "/api/vps", json=body)

    assert (refused.status_code, set(refused.json()["fields"])) == (400, {"user_data"})
    assert "#!" in refused.json()["fields"]["user_data"] or "LF" in refused.json()["fields"]["user_data"]
    assert (await ann.ask("GET", "/api/vps")).json() == []
