"""How user data ended is told with the VPS, by its guest's word; nobody waits for it, and it changes nothing else."""

from uuid import UUID

import pytest

from api.application import user_data
from api.application.user_data import user_data_queue
from domain.compute.ports import UserDataSeen
from domain.ids import VpsId
from domain.pauses import Pauses
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio

SCRIPT = "#!/bin/sh\nexit 3\n"


async def running(here: House, ann: Customer, seen: UserDataSeen | None, script: str | None = SCRIPT) -> str:
    """Return a VPS that runs and was given user data, of which its guest says this."""
    body = {"name": "a", "plan_id": await here.nano()} | ({} if script is None else {"user_data": script})
    vps_id = str((await ann.ask("POST", "/api/vps", json=body)).json()["id"])
    async with here.working():
        told = await ann.until(vps_id, "running")
    assert told["user_data"] == (None if script is None else "pending"), "it runs, whatever becomes of it"
    here.host.guests[VpsId(UUID(vps_id))].user_data_seen = seen
    return vps_id


async def told(ann: Customer, vps_id: str) -> tuple[object, ...]:
    one = (await ann.ask("GET", f"/api/vps/{vps_id}")).json()
    (listed,) = (await ann.ask("GET", "/api/vps")).json()
    assert listed == one
    return one["state"], one["user_data"], one["user_data_output"]


async def test_its_end_is_told_with_its_last_lines(here: House, ann: Customer) -> None:
    vps_id = await running(here, ann, UserDataSeen(False, b"no such package\n"))
    await user_data_queue(here.runtime.worker).work_off()
    assert await told(ann, vps_id) == ("running", "failed", "no such package"), "a failure is no error of the VPS"
    kinds = [one["event"] for one in (await ann.ask("GET", f"/api/vps/{vps_id}/events")).json()]
    assert kinds[0] == "compute.vps-user-data-ended.v1"


async def test_success_is_told(here: House, ann: Customer) -> None:
    vps_id = await running(here, ann, UserDataSeen(True, b""))
    await user_data_queue(here.runtime.worker).work_off()
    assert await told(ann, vps_id) == ("running", "done", "")


async def test_a_vps_without_user_data_tells_of_none(here: House, ann: Customer) -> None:
    vps_id = await running(here, ann, UserDataSeen(True, b""), script=None)
    await user_data_queue(here.runtime.worker).work_off()
    assert await told(ann, vps_id) == ("running", None, None)


async def test_it_is_asked_for_again_until_it_has_ended(
    here: House, ann: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_data, "PAUSES", Pauses(0.0, 0.0))
    vps_id = await running(here, ann, None)
    queue = user_data_queue(here.runtime.worker)
    await queue.work_off()
    assert await told(ann, vps_id) == ("running", "pending", None)
    here.host.guests[VpsId(UUID(vps_id))].user_data_seen = UserDataSeen(True, b"at last\n")
    await queue.work_off()
    assert await told(ann, vps_id) == ("running", "done", "at last")


async def test_a_guest_that_does_not_answer_is_left_alone_for_a_while(here: House, ann: Customer) -> None:
    vps_id = await running(here, ann, UserDataSeen(True, b""))
    here.host.cut_off(VpsId(UUID(vps_id)))
    queue = user_data_queue(here.runtime.worker)
    await queue.work_off()
    here.host.cut_off(VpsId(UUID(vps_id)), reachable=True)
    await queue.work_off()
    assert await told(ann, vps_id) == ("running", "pending", None)


async def test_what_a_guest_says_is_stored_sealed(here: House, ann: Customer) -> None:
    await running(here, ann, UserDataSeen(False, b"the password is hunter2\n"))
    await user_data_queue(here.runtime.worker).work_off()
    assert not any("hunter2" in event.payload for event in await here.runtime.store.read_feed(0, 1000))
