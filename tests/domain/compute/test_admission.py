"""A VPS is on only where its wallet grants it, and both are recorded together."""

from uuid import UUID

import msgspec
import pytest

from domain.compute import admission
from domain.compute.capacity import NoCapacity, Reservations, Room
from domain.compute.events import (
    CapacityReserved,
    VpsDeleteRequested,
    VpsPlaced,
    VpsRequested,
    VpsRestartRequested,
    VpsStartRequested,
    VpsStopRequested,
)
from domain.deciding import NOTHING
from domain.errors import Invalid, NotFound
from domain.ids import VpsId
from domain.wallet.events import MeterClosed, VpsAdmitted, VpsReleased
from domain.wallet.funds import InsufficientBalance
from domain.wallet.vps_limits import VpsLimits
from domain.wallet.wallet import Wallet
from tests.domain.compute.lives import ACCOUNT, CREATE, VPS, at, vps_in
from tests.domain.compute.test_host import host_after
from tests.domain.compute.test_outcomes import ADMITTED, BOOK, METER_STARTED, kinds, wallet_after

ROOMS = (Room(host_after(), Reservations(), cpu_percent=100, disk_percent=100),)
LIMITS = VpsLimits(vps_max=20, vps_disk_gb_max=500)


def test_a_vps_is_requested_and_admitted_in_one() -> None:
    decision = admission.create_vps(None, wallet_after(), BOOK, ROOMS, LIMITS, CREATE, at(0))

    assert kinds(decision) == [CapacityReserved, VpsAdmitted, VpsRequested, VpsPlaced]


def test_a_new_vps_is_placed_on_a_host_for_its_plan_only() -> None:
    host = msgspec.structs.replace(host_after(), labels={"plans": "huge"})
    room = Room(host, Reservations(), cpu_percent=100, disk_percent=100)

    with pytest.raises(NoCapacity):
        admission.create_vps(None, wallet_after(), BOOK, (room,), LIMITS, CREATE, at(0))


def test_a_balance_that_does_not_cover_an_hour_makes_no_vps() -> None:
    with pytest.raises(InsufficientBalance):
        admission.create_vps(None, wallet_after(funds=1), BOOK, ROOMS, LIMITS, CREATE, at(0))


def test_a_second_hour_has_to_be_covered_beside_the_first() -> None:
    another = msgspec.structs.replace(CREATE, vps_id=VpsId(UUID(int=99)))

    with pytest.raises(InsufficientBalance) as refusal:
        admission.create_vps(None, wallet_after(ADMITTED), BOOK, ROOMS, LIMITS, another, at(0))
    assert (refusal.value.balance, refusal.value.required) == (4200, 8400)


def test_a_name_that_is_none_makes_no_vps() -> None:
    with pytest.raises(Invalid):
        admission.create_vps(
            None, wallet_after(), BOOK, ROOMS, LIMITS, msgspec.structs.replace(CREATE, name="-"), at(0)
        )


def test_a_vps_is_made_once() -> None:
    assert admission.create_vps(vps_in("requested"), wallet_after(), BOOK, ROOMS, LIMITS, CREATE, at(0)) == NOTHING


def off_wallet(*, funds: int = 4200) -> Wallet:
    released, closed = VpsReleased(VPS, 1, at(100), "stop"), MeterClosed(VPS, 1, at(104))
    return wallet_after(ADMITTED, METER_STARTED, released, closed, funds=funds)


def test_a_start_is_admitted_like_a_new_vps() -> None:
    decision = admission.start_vps(vps_in("stopped"), off_wallet(), BOOK, ROOMS, ACCOUNT, at(400))

    assert kinds(decision) == [CapacityReserved, VpsAdmitted, VpsStartRequested]
    with pytest.raises(InsufficientBalance):
        admission.start_vps(vps_in("stopped"), off_wallet(funds=1), BOOK, ROOMS, ACCOUNT, at(400))


def test_starting_what_runs_asks_the_wallet_nothing() -> None:
    assert admission.start_vps(vps_in("running"), wallet_after(funds=1), BOOK, ROOMS, ACCOUNT, at(400)) == NOTHING


def test_a_stop_ends_what_is_charged_when_it_is_accepted() -> None:
    decision = admission.stop_vps(vps_in("running"), wallet_after(ADMITTED, METER_STARTED), ACCOUNT, at(400))

    assert kinds(decision) == [VpsReleased, VpsStopRequested]
    assert admission.stop_vps(vps_in("stopped"), off_wallet(), ACCOUNT, at(400)) == NOTHING


def test_a_restart_goes_on_running_and_charging() -> None:
    assert kinds(admission.restart_vps(vps_in("running"), ACCOUNT, at(400))) == [VpsRestartRequested]


def test_a_deletion_ends_what_is_charged_and_happens_once() -> None:
    decision = admission.delete_vps(vps_in("running"), wallet_after(ADMITTED, METER_STARTED), ACCOUNT, at(400))

    assert kinds(decision) == [VpsReleased, VpsDeleteRequested]
    with pytest.raises(NotFound):
        admission.delete_vps(vps_in("deleting"), wallet_after(ADMITTED, METER_STARTED), ACCOUNT, at(400))
