"""What a host kept a guest from is in the events of its VPS."""

import pytest

from api.workers.denials import collect_denials
from domain.compute.ports import Denial
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


async def test_what_a_guest_was_kept_from_is_an_event_of_its_vps_and_told_once(here: House, ann: Customer) -> None:
    async with here.working():
        made = await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
        await ann.until(made.json()["id"], "running")
        (vps_id,) = here.host.guests
        here.host.denials += [Denial(vps_id, "tcp", "10.0.0.5", 5432, 3), Denial(vps_id, "name", "evil.example", 0, 4)]
        for _ in range(2):
            await collect_denials(here.runtime.worker)

        events = (await ann.ask("GET", f"/api/vps/{vps_id}/events")).json()
    denied = [event["facts"] for event in events if event["event"] == "compute.vps-egress-denied.v1"]
    assert [facts["count"] for facts in denied] == [7]
    assert "10.0.0.5" not in str(events), "what runs in a guest is its owner's, and kept sealed"
