"""Templates over HTTP: what is offered to everybody, one's own, and VPSs that are made from them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from api.application.blobs import texts_of
from api.application.repository import CommandContext
from api.application.seed_data import FULL_IMAGE, ensure_templates
from domain.compute.vps import vps_ref
from domain.events import Actor
from domain.ids import IMAGES_STREAM, HostId, VpsId
from domain.images.commands import RegisterImage
from domain.images.images import IMAGES, LITE, register, retire
from domain.images.templates import DEFINED_PER_DAY_MAX
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
OWN: dict[str, Any] = {"name": "worker", "description": "Takes jobs.", "vcpu": 1, "memory_mb": 512, "disk_gb": 10}


@pytest.fixture(autouse=True)
async def shipped(here: House) -> None:
    """Have the templates that ship offered, as at the first start."""
    await ensure_templates(here.runtime)


async def bring_full_image(here: House, **changes: Any) -> None:
    """Have the full image registered, on every host there is."""
    command = RegisterImage(
        name=FULL_IMAGE,
        key="debian-12-0123",
        boots="kernel",
        user_data="cloud-init",
        disk_gb_min=2,
        size_bytes=170_000_000,
        sha256="00" * 32,
        host_ids=tuple(here.runtime.worker.hypervisors),
        **changes,
    )
    await here.runtime.aggregates.execute(
        [IMAGES],
        lambda loaded, now: register(loaded.of(IMAGES), command, now),
        CommandContext(actor=Actor("operator"), step="image"),
    )


async def test_what_ships_is_offered_to_everybody(ann: Customer) -> None:
    listed = (await ann.ask("GET", "/api/templates")).json()
    one = await ann.ask("GET", "/api/templates/ubuntu-22-small")
    assert {template["name"] for template in listed} == {
        "ubuntu-22-small",
        "debian-12-small",
        "debian-12-medium",
        "debian-12-large",
    }
    assert one.json() in listed
    assert (one.json()["image"], one.json()["ttl_minutes"]) == (LITE, None)
    assert LITE in one.json()["description"], "its name alone would tell a lie"
    assert (await ann.ask("GET", "/api/templates/nowhere")).status_code == 404


async def test_what_ships_is_offered_once_and_never_again_where_operators_changed_it(here: House) -> None:
    before = await here.runtime.store.head()
    await ensure_templates(here.runtime)
    assert await here.runtime.store.head() == before


async def test_a_vps_is_made_as_its_template_says(ann: Customer) -> None:
    made = await ann.ask("POST", "/api/vps", json={"name": "agent-vm", "template": "ubuntu-22-small"})
    assert made.status_code == 201
    told = made.json()
    assert (told["template"], told["vcpu"], told["memory_mb"], told["disk_gb"]) == ("ubuntu-22-small", 1, 512, 10)
    assert (await ann.ask("GET", f"/api/vps/{told['id']}")).json()["template"] == "ubuntu-22-small"
    assert [vps["template"] for vps in (await ann.ask("GET", "/api/vps")).json()] == ["ubuntu-22-small"]


async def test_what_is_asked_for_counts_more_than_the_template(here: House, ann: Customer) -> None:
    own = OWN | {"user_data": "#!/bin/sh\ntouch /from-template\n", "memory_mb": 400_000}
    assert (await ann.ask("POST", "/api/templates", json=own)).status_code == 201
    too_large = await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker"})
    smaller = await ann.ask("POST", "/api/vps", json={"name": "b", "template": "worker", "memory_mb": 512})
    by_plan = await ann.ask("POST", "/api/vps", json={"name": "c", "template": "worker", "plan_id": await here.nano()})
    assert (too_large.status_code, smaller.status_code, by_plan.status_code) == (400, 201, 201)


async def test_the_user_data_of_a_template_is_that_of_its_vpss(here: House, ann: Customer) -> None:
    for name, script in (("short", "#!/bin/sh\ntrue\n"), ("long", "#!/bin/sh\n" + "#" * 20_000)):
        await ann.ask("POST", "/api/templates", json=OWN | {"name": name, "user_data": script})
        assert (await ann.ask("GET", f"/api/templates/{name}")).json()["user_data"] == script
        made = (await ann.ask("POST", "/api/vps", json={"name": name, "template": name})).json()
        assert made["user_data"] == "pending"
        ref = vps_ref(VpsId(UUID(made["id"])))
        vps = (await here.runtime.aggregates.load(ref)).of(ref)
        assert vps is not None
        blobs, sealer = here.runtime.worker.blobs, here.runtime.sealer
        texts = await texts_of(blobs, sealer, ref.stream, vps.account_id, {"user_data": vps.user_data})
        assert texts == {"user_data": script}


async def test_a_list_tells_the_user_data_of_each_template_however_long_it_is(ann: Customer) -> None:
    given = {"none": None, "short": "#!/bin/sh\ntrue\n", "long": "#!/bin/sh\n" + "#" * 20_000}
    for name, script in given.items():
        await ann.ask("POST", "/api/templates", json=OWN | {"name": name, "user_data": script})
    told = {one["name"]: one["user_data"] for one in (await ann.ask("GET", "/api/templates")).json()}
    assert {name: told[name] for name in given} == given
    assert told["ubuntu-22-small"] is None


async def test_a_vps_lives_as_long_as_its_template_says_unless_told_otherwise(ann: Customer) -> None:
    await ann.ask("POST", "/api/templates", json=OWN | {"ttl_minutes": 60})

    async def lifetime(**told: object) -> timedelta | None:
        made = (await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker", **told})).json()
        created, expires = datetime.fromisoformat(made["created_at"]), made["expires_at"]
        return None if expires is None else datetime.fromisoformat(expires) - created

    assert await lifetime() == timedelta(minutes=60)
    assert await lifetime(ttl_minutes=5) == timedelta(minutes=5)
    assert await lifetime(ttl_minutes=None) is None, "told to have none"


async def test_a_template_of_ones_own_is_kept_told_and_removed(ann: Customer, bob: Customer) -> None:
    kept = await ann.ask("POST", "/api/templates", json=OWN | {"ttl_minutes": 60})
    assert kept.status_code == 201
    assert kept.json() == OWN | {"image": LITE, "user_data": None, "ttl_minutes": 60}
    assert (await ann.ask("GET", "/api/templates/worker")).json() == kept.json()
    assert kept.json() in (await ann.ask("GET", "/api/templates")).json()
    assert (await bob.ask("GET", "/api/templates/worker")).status_code == 404
    assert (await bob.ask("DELETE", "/api/templates/worker")).status_code == 404
    assert (await bob.ask("POST", "/api/vps", json={"name": "a", "template": "worker"})).json()["fields"] == {
        "template": "no such template"
    }
    made = (await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker"})).json()
    assert (await ann.ask("DELETE", "/api/templates/worker")).status_code == 204
    assert (await ann.ask("DELETE", "/api/templates/worker")).status_code == 404
    assert (await ann.ask("GET", f"/api/vps/{made['id']}")).json()["template"] == "worker", "as it was then"


async def test_two_templates_never_have_one_name(ann: Customer, bob: Customer) -> None:
    assert (await ann.ask("POST", "/api/templates", json=OWN)).status_code == 201
    again = await ann.ask("POST", "/api/templates", json=OWN)
    shared = await ann.ask("POST", "/api/templates", json=OWN | {"name": "ubuntu-22-small"})
    assert [taken.json()["code"] for taken in (again, shared)] == ["template_name_taken"] * 2
    assert (await bob.ask("POST", "/api/templates", json=OWN)).status_code == 201, "another's hinders nobody"


async def test_what_is_offered_to_everybody_is_nobodys_to_remove(ann: Customer) -> None:
    refused = await ann.ask("DELETE", "/api/templates/ubuntu-22-small")
    assert (refused.status_code, refused.json()["code"]) == (403, "template_is_shared")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Worker"),
        ("name", "-"),
        ("description", "\0"),
        ("image", "plan-9"),
        ("vcpu", 2000),
        ("memory_mb", 2**31),
        ("disk_gb", 2**31),
        ("user_data", "touch /root/ran"),
        ("user_data", "#cloud-config\n"),
        ("ttl_minutes", 0),
    ],
)
async def test_a_template_that_could_not_be_meant_is_refused(anybody: Customer, field: str, value: object) -> None:
    refused = await anybody.ask("POST", "/api/templates", json=OWN | {field: value})
    assert (refused.status_code, set(refused.json()["fields"])) == (400, {field})


async def test_an_account_keeps_so_many_templates_and_no_more(ann: Customer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.images.templates.TEMPLATES_MAX", 2)
    for name in ("a", "b"):
        assert (await ann.ask("POST", "/api/templates", json=OWN | {"name": name})).status_code == 201
    refused = await ann.ask("POST", "/api/templates", json=OWN | {"name": "c"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_templates")


async def test_larger_templates_start_the_full_image_where_a_host_has_it(here: House, ann: Customer) -> None:
    assert (await ann.ask("GET", "/api/templates/debian-12-medium")).json()["image"] == LITE
    await bring_full_image(here)
    assert (await ann.ask("GET", "/api/templates/debian-12-medium")).json()["image"] == FULL_IMAGE


async def test_cloud_config_is_taken_where_the_image_understands_it(here: House, ann: Customer) -> None:
    own = OWN | {"user_data": "#cloud-config\nruncmd: [true]\n"}
    await bring_full_image(here)
    assert (await ann.ask("POST", "/api/templates", json=own)).status_code == 400
    assert (await ann.ask("POST", "/api/templates", json=own | {"image": FULL_IMAGE})).status_code == 201
    made = await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker"})
    assert made.status_code == 201
    on_lite = {"name": "b", "template": "ubuntu-22-small", "user_data": own["user_data"]}
    assert set((await ann.ask("POST", "/api/vps", json=on_lite)).json()["fields"]) == {"user_data"}


async def test_a_vps_is_placed_where_its_image_is(here: House, ann: Customer) -> None:
    await bring_full_image(here)
    await ann.ask("POST", "/api/templates", json=OWN | {"image": FULL_IMAGE})
    assert (await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker"})).status_code == 201
    await here.runtime.aggregates.execute(
        [IMAGES],
        lambda loaded, now: retire(loaded.of(IMAGES), FULL_IMAGE, frozenset(), now),
        CommandContext(actor=Actor("operator"), step="image"),
    )
    refused = await ann.ask("POST", "/api/vps", json={"name": "b", "template": "worker"})
    assert refused.json()["fields"] == {"template": f"its image {FULL_IMAGE} is not offered any more"}
    elsewhere = RegisterImage(
        name=FULL_IMAGE,
        key="k",
        boots="kernel",
        user_data="script",
        disk_gb_min=1,
        size_bytes=1,
        sha256="00" * 32,
        host_ids=(HostId(UUID(int=7)),),
    )
    await here.runtime.aggregates.execute(
        [IMAGES],
        lambda loaded, now: register(loaded.of(IMAGES), elsewhere, now),
        CommandContext(actor=Actor("operator"), step="image"),
    )
    assert (await ann.ask("POST", "/api/vps", json={"name": "b", "template": "worker"})).status_code == 503


async def test_a_host_is_told_which_files_its_image_has(here: House, ann: Customer) -> None:
    await bring_full_image(here)
    await ann.ask("POST", "/api/templates", json=OWN | {"image": FULL_IMAGE, "user_data": "#cloud-config\n"})
    for template, key, user_data in (("worker", "debian-12-0123", "#cloud-config\n"), ("ubuntu-22-small", "", None)):
        made = (await ann.ask("POST", "/api/vps", json={"name": "a", "template": template})).json()
        async with here.working():
            await ann.until(made["id"], "running")
        prepared_as = here.host.guests[VpsId(UUID(made["id"]))].prepared_as
        assert (prepared_as.image_key, prepared_as.user_data) == (key, user_data)


async def test_a_disk_is_never_smaller_than_its_image(here: House, ann: Customer) -> None:
    await bring_full_image(here)
    refused = await ann.ask("POST", "/api/templates", json=OWN | {"image": FULL_IMAGE, "disk_gb": 1})
    assert set(refused.json()["fields"]) == {"disk_gb"}


async def test_a_template_asked_for_twice_under_one_key_is_kept_once(ann: Customer) -> None:
    first, second = [
        await ann.ask("POST", "/api/templates", json=OWN, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert (first.status_code, second.status_code, second.headers["idempotency-replayed"]) == (201, 201, "true")
    assert first.json() == second.json()


async def test_nothing_that_a_customer_says_of_a_template_is_stored_in_the_clear(here: House, ann: Customer) -> None:
    await ann.ask("POST", "/api/templates", json=OWN | {"name": "secretname", "user_data": "#!/bin/secretscript\n"})
    await ann.ask("POST", "/api/vps", json={"name": "a", "template": "secretname"})
    stored = [event.payload for event in await here.runtime.store.read_feed(0, 1000)]
    assert any("images.template-defined.v1" in payload for payload in stored)
    assert not any("secret" in payload or "Takes jobs" in payload for payload in stored)


async def test_images_are_recorded_in_a_stream_of_their_own(here: House) -> None:
    await bring_full_image(here)
    await bring_full_image(here)
    kinds = [event.type for event in await here.runtime.store.read_stream(IMAGES_STREAM, 0, 100)]
    assert kinds == ["images.image-registered.v1", "images.image-brought.v1"], "said twice, recorded once"


async def test_a_vps_lives_as_long_as_its_template_says_unless_it_is_told_otherwise(ann: Customer) -> None:
    assert (await ann.ask("POST", "/api/templates", json=OWN | {"ttl_minutes": 60})).status_code == 201

    async def lives(**asked: Any) -> float | None:
        made = (await ann.ask("POST", "/api/vps", json={"name": "a", "template": "worker", **asked})).json()
        if made["expires_at"] is None:
            return None
        return (datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])) / MINUTE

    assert [await lives(), await lives(ttl_minutes=5), await lives(ttl_minutes=None)] == [60, 5, None]


async def test_templates_that_are_kept_and_removed_again_fill_no_disk(ann: Customer) -> None:
    for _ in range(DEFINED_PER_DAY_MAX):
        assert (await ann.ask("POST", "/api/templates", json=OWN)).status_code == 201
        assert (await ann.ask("DELETE", "/api/templates/worker")).status_code == 204
    one_more = await ann.ask("POST", "/api/templates", json=OWN)

    assert (one_more.status_code, one_more.json()["code"]) == (429, "too_many_templates_today")
    assert 0 < int(one_more.headers["retry-after"]) <= 24 * 3_600
