"""A command that no guest could run is a 400 that names the field, and nothing of it is recorded."""

import pytest

from domain.exec.events import JobRequested
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


@pytest.mark.parametrize("text", ["touch /root/ran", "#!/bin/sh\r\ntrue\r\n", "\n#!/bin/sh\n", "#cloud-config\n"])
async def test_user_data_that_cannot_run_is_400(here: House, ann: Customer, text: str) -> None:
    body = {"name": "a", "plan_id": await here.nano(), "user_data": text}
    refused = await ann.ask("POST", "/api/vps", json=body)

    assert (refused.status_code, set(refused.json()["fields"])) == (400, {"user_data"})
    assert "#!" in refused.json()["fields"]["user_data"] or "LF" in refused.json()["fields"]["user_data"]
    assert (await ann.ask("GET", "/api/vps")).json() == []
