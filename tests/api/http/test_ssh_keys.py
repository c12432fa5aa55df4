"""SSH keys over HTTP."""

import pytest

from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINYwz+hWpOwxZUNGmIDQ9lJf0HlM6lMTLl9XcjdnCvw4"
FINGERPRINT = "SHA256:"


async def test_a_key_is_kept_listed_and_removed(ann: Customer) -> None:
    added = await ann.ask("POST", "/api/ssh-keys", json={"name": "my-key", "public_key": f"{KEY} me@laptop\n"})
    assert added.status_code == 201
    assert added.json()["public_key"] == f"{KEY} me@laptop"
    assert added.json()["fingerprint"].startswith(FINGERPRINT)

    listed = await ann.ask("GET", "/api/ssh-keys")
    assert (listed.json(), listed.headers["x-total-count"]) == ([added.json()], "1")
    path = f"/api/ssh-keys/{added.json()['id']}"
    assert (await ann.ask("DELETE", path)).status_code == 204
    assert (await ann.ask("DELETE", path)).status_code == 404
    assert (await ann.ask("GET", "/api/ssh-keys")).json() == []


async def test_a_key_is_kept_once(ann: Customer, bob: Customer) -> None:
    body = {"name": "my-key", "public_key": KEY}
    first = await ann.ask("POST", "/api/ssh-keys", json=body)
    second = await ann.ask("POST", "/api/ssh-keys", json={**body, "name": "again"})
    others = await bob.ask("POST", "/api/ssh-keys", json=body)

    assert (first.status_code, second.status_code, others.status_code) == (201, 409, 201)
    assert second.json() == {"error": "SSH key exists already", "code": "ssh_key_taken", "id": first.json()["id"]}


async def test_anothers_key_cannot_be_used_or_removed(here: House, ann: Customer, bob: Customer) -> None:
    key_id = (await bob.ask("POST", "/api/ssh-keys", json={"name": "k", "public_key": KEY})).json()["id"]
    made = await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano(), "ssh_key_ids": [key_id]})
    removed = await ann.ask("DELETE", f"/api/ssh-keys/{key_id}")

    assert (made.status_code, set(made.json()["fields"])) == (400, {"ssh_key_ids"})
    assert removed.status_code == 404


async def test_keys_have_names(ann: Customer) -> None:
    for name in ("", " ", "x" * 65, "a\nb"):
        response = await ann.ask("POST", "/api/ssh-keys", json={"name": name, "public_key": KEY})
        assert (response.status_code, set(response.json()["fields"])) == (400, {"name"})
