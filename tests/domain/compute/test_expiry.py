"""A VPS whose time is over is deleted, never before, and that is told before; whenever somebody looks."""

import pytest

from domain.compute.commands import ChangeVps
from domain.compute.events import VpsDeleteRequested, VpsExpirySet, VpsExpiryWarned
from domain.compute.expiry import expire_vps
from domain.compute.ttl import TTL_MINUTES_MAX
from domain.compute.vps import Vps
from domain.deciding import NOTHING
from domain.errors import Invalid
from domain.events import Event
from domain.wallet.events import BootEnded, VpsReleased
from tests.domain.compute.lives import ACCOUNT, LIVES, VPS, after, at, vps_in
from tests.domain.compute.test_changing import change_vps
from tests.domain.compute.test_outcomes import ADMITTED, METER_STARTED, wallet_after

WARNING_MINUTES = 10
EXPIRES = VpsExpirySet(at(3600), at(0))
WARNED = VpsExpiryWarned(at(3600), at(3000))
WALLET = wallet_after(ADMITTED, METER_STARTED)


def expiring(point: str = "running", *events: Event) -> Vps:
    return after(*LIVES[point], EXPIRES, *events)


def expired(vps: Vps | None, now_s: float) -> list[Event]:
    return [event for _, event in expire_vps(vps, WALLET, at(now_s), WARNING_MINUTES).events]


def test_its_end_is_told_ten_minutes_before_and_once() -> None:
    assert expired(expiring(), 2999.999999) == []
    assert expired(expiring(), 3000) == [VpsExpiryWarned(at(3600), at(3000))]
    assert expired(expiring("running", WARNED), 3599.999999) == []


def test_it_is_deleted_once_its_time_is_over_and_never_before() -> None:
    assert expired(expiring("running", WARNED), 3600) == [
        VpsReleased(VPS, 1, at(3600), "delete"),
        VpsDeleteRequested(1, at(3600), "ttl"),
    ]


def test_after_a_time_in_which_nobody_looked_it_is_told_and_deleted_together() -> None:
    kinds = [type(event) for event in expired(expiring(), 90_000)]

    assert kinds == [VpsExpiryWarned, VpsReleased, VpsDeleteRequested]


@pytest.mark.parametrize("point", sorted(set(LIVES) - {"deleting", "deleted"}))
def test_it_ends_in_every_state(point: str) -> None:
    kinds = [type(event) for event in expired(expiring(point), 3600)]

    assert kinds[-1] is VpsDeleteRequested


@pytest.mark.parametrize("point", ["deleting", "deleted"])
def test_what_is_deleted_already_is_not_deleted_again(point: str) -> None:
    assert expired(expiring(point), 3600) == []
    assert expired(None, 3600) == []


def test_what_has_no_end_is_left_alone() -> None:
    assert expired(vps_in("running"), 10**9) == []


def test_a_boot_that_is_ended_by_its_expiry_counts_as_one_that_was_abandoned() -> None:
    events = expire_vps(expiring("launched"), wallet_after(ADMITTED), at(3600), WARNING_MINUTES).events

    assert [event.ending for _, event in events if isinstance(event, BootEnded)] == ["abandoned"]


def test_another_time_to_live_counts_from_now_and_is_told_anew() -> None:
    longer = ChangeVps(vps_id=VPS, account_id=ACCOUNT, ttl_minutes=60)
    changed = change_vps(expiring("running", WARNED), longer, at(3500))
    (event,) = (event for _, event in changed.events)

    vps = expiring("running", WARNED, event)
    assert vps.expires_at == at(3500 + 3600)
    assert expired(vps, 3600) == []
    assert [type(event) for event in expired(vps, 3500 + 3000)] == [VpsExpiryWarned]


def test_an_end_is_taken_away_once() -> None:
    never = ChangeVps(vps_id=VPS, account_id=ACCOUNT, ttl_minutes=None)
    (event,) = (event for _, event in change_vps(expiring(), never, at(3500)).events)

    assert event == VpsExpirySet(None, at(3500))
    assert expired(expiring("running", event), 10**6) == []
    assert change_vps(expiring("running", event), never, at(3501)) == NOTHING


@pytest.mark.parametrize("ttl_minutes", [0, -1, TTL_MINUTES_MAX + 1])
def test_a_time_to_live_is_from_a_minute_to_ten_years(ttl_minutes: int) -> None:
    with pytest.raises(Invalid):
        change_vps(vps_in("running"), ChangeVps(vps_id=VPS, account_id=ACCOUNT, ttl_minutes=ttl_minutes), at(500))
