"""No room, and no more VPSs: what an owner is told, and that nothing was done."""

import asyncio
from typing import Any

import pytest

from api.application.capacity import ensure_registered
from api.application.operators import OPERATOR
from api.application.repository import CommandContext
from domain.compute.events import HostRegistered
from domain.deciding import recorded_in
from domain.ids import HostId
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_REF, change
from domain.wallet.vps_limits import SetVpsLimits, set_vps_limits
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


async def _has(house: House, **has: int) -> None:
    """Have the host be no bigger than this."""
    whole = {"memory_mb": None, "vcpu": None, "disk_gb": None, "port_to": 22999, **has}
    host: HostId = house.host.host_id
    registered = HostRegistered(host_id=host, name="played", ssh_host="127.0.0.1", port_from=22000, **whole)  # type: ignore[arg-type]
    await ensure_registered(house.runtime.worker, registered)


async def _set(house: House, name: str, value: int) -> None:
    await house.runtime.aggregates.execute(
        [SETTINGS_REF],
        lambda loaded, _: change(loaded.of(SETTINGS_REF), ChangeSetting(name, value)),
        CommandContext(actor=OPERATOR),
    )


async def _create(who: Customer, **query: Any) -> Any:
    body = {"name": "web", "plan_id": await who.house.nano()}
    return await who.ask("POST", "/api/vps", json=body, params=query)


async def test_half_a_cent_does_not_hold_a_hosts_memory_and_ports(here: House, ann: Customer, bob: Customer) -> None:
    await _has(here, memory_mb=512, port_to=22000)
    await bob.credit(4_500)
    async with here.working():
        for _ in range(3):
            made = await _create(bob)
            assert made.status_code == 201, made.text
            await bob.until(made.json()["id"], "running")
            await bob.ask("POST", f"/api/vps/{made.json()['id']}/stop")
            off = await bob.until(made.json()["id"], "stopped")
            assert (off["ssh_host"], off["ssh_port"]) == (None, None)

        assert (await _create(ann)).status_code == 201


async def test_a_create_with_no_room_is_503_and_nothing_is_done(here: House, ann: Customer) -> None:
    await _has(here, memory_mb=512)
    assert (await _create(ann)).status_code == 201
    head = await here.runtime.store.head()

    refused = await _create(ann)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    assert refused.json() == {
        "error": "no host has room for it now",
        "code": "no_capacity",
        "retry_after_seconds": 30,
    }
    assert await here.runtime.store.head() == head
    assert len((await ann.ask("GET", "/api/vps")).json()) == 1


async def test_a_start_with_no_room_is_503(here: House, ann: Customer, bob: Customer) -> None:
    await _has(here, memory_mb=512)
    async with here.working():
        vps_id = (await _create(ann)).json()["id"]
        await ann.until(vps_id, "running")
        await ann.ask("POST", f"/api/vps/{vps_id}/stop")
        await ann.until(vps_id, "stopped")
        await bob.credit(1_000_000)
        assert (await _create(bob)).status_code == 201

        refused = await ann.ask("POST", f"/api/vps/{vps_id}/start")

    assert (refused.status_code, refused.json()["code"]) == (503, "no_capacity")


async def test_no_room_comes_before_what_paying_cures(here: House, bob: Customer) -> None:
    await _has(here, memory_mb=1)

    assert (await _create(bob)).json()["code"] == "no_capacity"


async def test_a_hundred_creates_at_once_on_a_limit_for_twenty_make_twenty(here: House, ann: Customer) -> None:
    answers = await asyncio.gather(*(_create(ann) for _ in range(100)))

    assert sorted(answer.status_code for answer in answers) == [201] * 20 + [403] * 80
    refused = next(answer for answer in answers if answer.status_code == 403)
    assert refused.json() == {
        "error": "the account has as many VPSs as it may",
        "code": "vps_limit_reached",
        "vps_count": 20,
        "vps_max": 20,
    }


async def test_a_deleted_vps_makes_room_below_the_limit_at_once(here: House, ann: Customer) -> None:
    await _set(here, "vps_max", 1)
    vps_id = (await _create(ann)).json()["id"]
    assert (await _create(ann)).status_code == 403
    assert (await ann.ask("DELETE", f"/api/vps/{vps_id}")).status_code == 204

    assert (await _create(ann)).status_code == 201


async def test_disk_has_a_limit_of_its_own(here: House, ann: Customer) -> None:
    await _set(here, "vps_disk_gb_max", 19)
    assert (await _create(ann)).status_code == 201
    refused = await _create(ann)

    assert refused.status_code == 403
    assert refused.json() == {
        "error": "the account's VPSs have as much disk as they may",
        "code": "vps_disk_limit_reached",
        "vps_disk_gb": 10,
        "disk_gb": 10,
        "vps_disk_gb_max": 19,
    }


async def test_an_account_may_have_limits_of_its_own(here: House, ann: Customer, bob: Customer) -> None:
    await _set(here, "vps_max", 0)
    wallet = wallet_ref(ann.id)
    await here.runtime.aggregates.execute(
        [wallet],
        lambda loaded, _: recorded_in(
            wallet.stream, *set_vps_limits(loaded.of(wallet), SetVpsLimits(1, None, "a try"))
        ),
        CommandContext(actor=OPERATOR, account_id=ann.id),
    )

    assert (await _create(ann)).status_code == 201
    assert (await _create(bob)).json()["code"] == "vps_limit_reached"


async def test_a_quote_tells_a_limit(here: House, ann: Customer) -> None:
    await _set(here, "vps_max", 0)
    told = (await _create(ann, dry_run="true")).json()

    assert (told["would_be"], told["code"], told["sufficient"]) == (403, "vps_limit_reached", False)
    assert told["shortfall"] == 0
