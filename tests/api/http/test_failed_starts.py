"""Too many failed starts over HTTP: when it may be tried again is told, and paying cures nothing."""

from uuid import UUID

import pytest

from api.application.repository import CommandContext
from domain.deciding import recorded_in
from domain.events import Actor
from domain.ids import VpsId
from domain.settings.commands import ChangeSetting
from domain.settings.settings import SETTINGS_REF, change
from domain.time import Instant, seconds
from domain.wallet.events import BootEnded
from domain.wallet.wallet import wallet_ref
from tests.api.houses import Customer, House

pytestmark = pytest.mark.anyio


async def let_fail(house: House, customer: Customer, *ago_s: float, vps_id: str | None = None) -> None:
    """Have starts of a VPS have failed so many seconds ago."""
    ref, now = wallet_ref(customer.id), house.runtime.clock.now()
    failed_of = VpsId(UUID(vps_id)) if vps_id else VpsId(house.runtime.ids.new())
    ended = [Instant(now - seconds(ago)) for ago in ago_s]
    events = [BootEnded(failed_of, 1, at, at, "failed") for at in sorted(ended)]
    await house.runtime.aggregates.execute(
        [ref],
        lambda _loaded, _now: recorded_in(ref.stream, *events),
        CommandContext(actor=Actor("service", part="test"), account_id=customer.id),
    )


async def stopped_vps(house: House, customer: Customer) -> str:
    made = await customer.ask("POST", "/api/vps", json={"name": "a", "plan_id": await house.nano()})
    vps_id = str(made.json()["id"])
    await customer.until(vps_id, "running")
    await customer.ask("POST", f"/api/vps/{vps_id}/stop")
    await customer.until(vps_id, "stopped")
    return vps_id


async def test_a_start_after_three_failed_ones_is_429_and_tells_when_again(here: House, ann: Customer) -> None:
    async with here.working():
        vps_id = await stopped_vps(here, ann)
        await let_fail(here, ann, 3_000, 2_000, vps_id=vps_id)
        assert (await ann.ask("POST", f"/api/vps/{vps_id}/start?dry_run=true")).status_code == 200

        await let_fail(here, ann, 1_000, vps_id=vps_id)
        refused = await ann.ask("POST", f"/api/vps/{vps_id}/start")

        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failed_starts")
        assert 590 <= int(refused.headers["retry-after"]) <= 600
        assert refused.json()["retry_after_seconds"] == int(refused.headers["retry-after"])
        other = await ann.ask("POST", "/api/vps", json={"name": "b", "plan_id": await here.nano()})
        assert other.status_code == 201


async def test_an_account_whose_guests_fail_makes_no_more_of_them(here: House, ann: Customer) -> None:
    await let_fail(here, ann, *[60] * 10)

    refused = await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failed_starts")

    await here.runtime.aggregates.execute(
        [SETTINGS_REF],
        lambda loaded, _now: change(loaded.of(SETTINGS_REF), ChangeSetting("failed_starts_per_hour", 11)),
        CommandContext(actor=Actor("service", part="test"), account_id=None),
    )
    made = await ann.ask("POST", "/api/vps", json={"name": "a", "plan_id": await here.nano()})
    assert made.status_code == 201
