"""An account keeps so many VPSs, and so much disk, and no more: what is off costs nothing, but it counts."""

from uuid import UUID

import pytest

from domain.errors import Invalid
from domain.events import Event
from domain.ids import VpsId
from domain.money import MicroUsd
from domain.pricing.price_book import Plan, Price, PriceBook
from domain.wallet.events import MeterStarted, VpsAdmitted, VpsLimitsSet, VpsReleased
from domain.wallet.vps_limits import (
    SetVpsLimits,
    VpsDiskLimitReached,
    VpsLimitReached,
    VpsLimits,
    check_vps_limits,
    set_vps_limits,
)
from domain.wallet.wallet import Wallet, evolve
from tests.domain.compute.lives import ACCOUNT, PLAN, at
from tests.domain.compute.test_outcomes import wallet_after

OF_ALL = VpsLimits(vps_max=2, vps_disk_gb_max=15)
BOOK = PriceBook({PLAN: Plan(PLAN, "small", 1, 256, 5, (Price(1, MicroUsd(4200), at(0)),))})


def wallet(count: int, *events: Event) -> Wallet:
    """Return a wallet whose account has so many VPSs."""
    return wallet_after(*(VpsAdmitted(ACCOUNT, vps(k), 1, PLAN, None, at(0)) for k in range(count)), *events)


def vps(number: int) -> VpsId:
    return VpsId(UUID(int=number))


def test_one_more_than_the_limit_is_refused() -> None:
    check_vps_limits(wallet(1), BOOK, OF_ALL, 5)
    with pytest.raises(VpsLimitReached) as refused:
        check_vps_limits(wallet(2), BOOK, OF_ALL, 5)
    assert refused.value.facts == {"vps_count": 2, "vps_max": 2}


def test_more_disk_than_the_limit_is_refused() -> None:
    check_vps_limits(wallet(1), BOOK, OF_ALL, 10)
    with pytest.raises(VpsDiskLimitReached) as refused:
        check_vps_limits(wallet(1), BOOK, OF_ALL, 11)
    assert refused.value.facts == {"vps_disk_gb": 5, "disk_gb": 11, "vps_disk_gb_max": 15}


def test_what_is_off_counts_and_what_is_to_be_deleted_does_not() -> None:
    with pytest.raises(VpsLimitReached):
        check_vps_limits(wallet(2, VpsReleased(vps(0), 1, at(9), "stop")), BOOK, OF_ALL, 5)
    ran = MeterStarted(vps(0), 1, at(8))
    deleting = wallet(2, ran, VpsReleased(vps(0), 1, at(9), "delete"))
    assert deleting.meters[vps(0)].deleted, "its last minutes are still to be settled"
    check_vps_limits(deleting, BOOK, OF_ALL, 10)


def test_an_account_with_limits_of_its_own_has_those() -> None:
    own = VpsLimitsSet(ACCOUNT, 3, 10, "a good customer")
    check_vps_limits(wallet(1, own), BOOK, OF_ALL, 5)
    with pytest.raises(VpsDiskLimitReached):
        check_vps_limits(wallet(2, own), BOOK, OF_ALL, 5)
    back = VpsLimitsSet(ACCOUNT, None, None, "no longer")
    with pytest.raises(VpsLimitReached):
        check_vps_limits(wallet(2, own, back), BOOK, OF_ALL, 5)
    with pytest.raises(VpsLimitReached):
        check_vps_limits(wallet(0, VpsLimitsSet(ACCOUNT, 0, None, "none at all")), BOOK, OF_ALL, 5)


def test_limits_are_recorded_with_their_reason_and_once() -> None:
    command = SetVpsLimits(50, None, "a good customer")
    (recorded,) = set_vps_limits(wallet(0), command)

    assert recorded == VpsLimitsSet(ACCOUNT, 50, None, "a good customer")
    assert set_vps_limits(evolve(wallet(0), recorded), command) == ()


@pytest.mark.parametrize(
    "command", [SetVpsLimits(-1, None, "why"), SetVpsLimits(None, 10**10, "why"), SetVpsLimits(1, 1, " ")]
)
def test_limits_that_cannot_be_meant_are_refused(command: SetVpsLimits) -> None:
    with pytest.raises(Invalid):
        set_vps_limits(wallet(0), command)
