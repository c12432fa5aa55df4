"""Snapshots over HTTP, on played hosts."""

from typing import Any

import pytest

from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


async def running(here: House, ann: Customer) -> str:
    """Have a VPS run; return its path."""
    vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
    await ann.until(vps_id, "running")
    return f"/api/vps/{vps_id}"


async def taken(ann: Customer, path: str, name: str) -> dict[str, Any]:
    """Have a snapshot taken; return it as it is told."""
    made = await ann.ask("POST", f"{path}/snapshots", json={"name": name})
    assert (made.status_code, made.json()["state"]) == (201, "creating")
    while True:
        told: dict[str, Any]
        (told,) = [one for one in (await ann.ask("GET", f"{path}/snapshots")).json() if one["name"] == name]
        if told["state"] != "creating":
            return told


async def test_a_snapshot_is_taken_listed_restored_and_deleted(here: House, ann: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        vps_id = path.rpartition("/")[2]
        await ann.ask("POST", f"{path}/exec", json={"command": "echo old > /root/word"})
        first = await taken(ann, path, "before-upgrade")
        await taken(ann, path, "later")
        await ann.ask("POST", f"{path}/exec", json={"command": "echo new > /root/word"})
        assert (first["state"], first["error"]) == ("ready", None)
        listed = await ann.ask("GET", f"{path}/snapshots", params={"limit": 1})
        assert [one["name"] for one in listed.json()] == ["later"]
        assert listed.headers["x-total-count"] == "2"

        restoring = await ann.ask("POST", f"{path}/snapshots/before-upgrade/restore")
        assert (restoring.status_code, restoring.json()["pending"]) == (202, "restore")
        while (await ann.ask("GET", path)).json()["pending"] is not None:
            pass
        await ann.until(vps_id, "running")
        said = await ann.ask("POST", f"{path}/exec", json={"command": "cat /root/word"})
        assert said.json()["stdout"] == "old\n"

        assert (await ann.ask("DELETE", f"{path}/snapshots/later")).status_code == 204
        assert (await ann.ask("DELETE", f"{path}/snapshots/later")).status_code == 404
        assert [one["name"] for one in (await ann.ask("GET", f"{path}/snapshots")).json()] == ["before-upgrade"]

    events = (await ann.ask("GET", f"{path}/events", params={"limit": 100})).json()
    told = [one["event"] for one in events]
    assert "compute.snapshot-restored.v1" in told
    assert all("name" not in one["facts"] for one in events), "what a customer wrote is sealed"


async def test_a_name_is_taken_once_and_is_a_label(here: House, ann: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        await taken(ann, path, "before")
        again = await ann.ask("POST", f"{path}/snapshots", json={"name": "before"})
        wrong = await ann.ask("POST", f"{path}/snapshots", json={"name": "../../etc"})

    assert (again.status_code, again.json()["code"]) == (409, "snapshot_name_taken")
    assert (wrong.status_code, set(wrong.json()["fields"])) == (400, {"name"})


async def test_a_snapshot_that_is_asked_for_again_under_one_key_is_taken_once(here: House, ann: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        asked = {"json": {"name": "before"}, "headers": {"Idempotency-Key": "k"}}
        first = await ann.ask("POST", f"{path}/snapshots", **asked)
        second = await ann.ask("POST", f"{path}/snapshots", **asked)

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"


async def test_how_many_snapshots_a_vps_may_have_is_a_setting(here: House, ann: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        for number in range(16):
            assert (await ann.ask("POST", f"{path}/snapshots", json={"name": f"s{number}"})).status_code == 201
        one_more = await ann.ask("POST", f"{path}/snapshots", json={"name": "one-more"})

    assert (one_more.status_code, one_more.json()["code"]) == (403, "snapshot_limit_reached")
    assert (one_more.json()["snapshots_count"], one_more.json()["snapshots_max"]) == (16, 16)


async def test_what_is_not_ready_for_it_is_refused_by_its_reason(here: House, ann: Customer) -> None:
    vps_id = (await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})).json()["id"]
    path = f"/api/vps/{vps_id}"
    creating = await ann.ask("POST", f"{path}/snapshots", json={"name": "before"})
    assert (creating.status_code, creating.json()["code"]) == (409, "vps_is_creating")
    async with here.working():
        await ann.until(vps_id, "running")
    await ann.ask("POST", f"{path}/snapshots", json={"name": "before"})
    early = await ann.ask("POST", f"{path}/snapshots/before/restore")
    nowhere = await ann.ask("POST", f"{path}/snapshots/another/restore")

    assert (early.status_code, early.json()["code"]) == (409, "snapshot_not_ready")
    assert nowhere.status_code == 404


async def test_anothers_snapshots_do_not_exist(here: House, ann: Customer, bob: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        await taken(ann, path, "before")
        for method, end, body in (
            *(("GET", "", None), ("POST", "", {"name": "x"})),
            *(("POST", "/before/restore", None), ("DELETE", "/before", None)),
        ):
            refused = await bob.ask(method, f"{path}/snapshots{end}", json=body)
            assert refused.content == b'{"error":"not found","code":"not_found"}'


async def test_a_restore_that_is_asked_for_again_under_one_key_is_done_once(here: House, ann: Customer) -> None:
    async with here.working():
        path = await running(here, ann)
        await taken(ann, path, "before")
        key = {"Idempotency-Key": "k"}
        first = await ann.ask("POST", f"{path}/snapshots/before/restore", headers=key)
        while (await ann.ask("GET", path)).json()["pending"] is not None:
            pass
        again = await ann.ask("POST", f"{path}/snapshots/before/restore", headers=key)
        other = await ann.ask("POST", f"{path}/restart", headers=key)
        events = [one["event"] for one in (await ann.ask("GET", f"{path}/events", params={"limit": 100})).json()]

    assert (first.status_code, again.status_code, other.status_code) == (202, 202, 422)
    assert again.headers["idempotency-replayed"] == "true"
    assert events.count("compute.snapshot-restore-requested.v1") == 1
