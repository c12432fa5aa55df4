"""What comes of a step is recorded of VPS and meter together, once, and not when it came too late."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.compute import outcomes
from domain.compute.capacity import FOLD as CAPACITY_FOLD
from domain.compute.capacity import Reservations, Room
from domain.compute.events import (
    CapacityReleased,
    CapacityReserved,
    HostDiffered,
    HostObserved,
    VpsDeleted,
    VpsFailed,
    VpsLaunched,
    VpsPlaced,
    VpsPrepared,
    VpsRestarted,
    VpsRunning,
    VpsStopped,
)
from domain.compute.host import FOLD as HOST_FOLD
from domain.compute.host import Host
from domain.compute.ports import GuestSeen
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision
from domain.events import Event
from domain.ids import capacity_stream, host_stream, vps_stream, wallet_stream
from domain.money import MicroUsd
from domain.pricing.price_book import Plan, Price, PriceBook
from domain.wallet.events import (
    FundsCredited,
    MeterClosed,
    MeterStarted,
    MinutesMetered,
    MinutesWaived,
    VpsAdmitted,
    VpsReleased,
    WalletOpened,
)
from domain.wallet.wallet import FOLD as WALLET_FOLD
from domain.wallet.wallet import Wallet
from tests.domain.compute.lives import ACCOUNT, HOST, LIVES, PLAN, UP, VPS, after, at, vps_in
from tests.domain.compute.test_host import REGISTERED, host_after

BOOK = PriceBook({PLAN: Plan(PLAN, "small", 1, 256, 5, (Price(1, MicroUsd(4200), at(0)),))})
ADMITTED = VpsAdmitted(ACCOUNT, VPS, 1, PLAN, None, at(0))
METER_STARTED = MeterStarted(VPS, 1, at(8))
SEEN_LATE = HostObserved(HOST, "boot", at(101), (GuestSeen(VPS, 1, "boot/1", True, 5),))


def wallet_after(*events: Event, funds: int = 4200) -> Wallet:
    wallet = WALLET_FOLD.initial
    for event in (WalletOpened(ACCOUNT), FundsCredited(ACCOUNT, UUID(int=8), MicroUsd(funds), "a start"), *events):
        wallet = WALLET_FOLD.evolve(wallet, event)
    return wallet


def step_of(vps: Vps) -> Step:
    step = next_step(vps)
    assert step is not None
    return step


def kinds(decision: Decision) -> list[type]:
    return [type(event) for _, event in decision.events]


RESERVED = CapacityReserved(HOST, VPS, 1, 1, 256, 5, 2201)
HELD = CAPACITY_FOLD.evolve(Reservations(), RESERVED)
ROOMS = (Room(host_after(), Reservations(), cpu_percent=100, disk_percent=100),)
RUNNING_WALLET = wallet_after(ADMITTED, METER_STARTED)
STOPPED_WALLET = wallet_after(ADMITTED, METER_STARTED, VpsReleased(VPS, 1, at(100), "stop"))

OUTCOMES: dict[str, tuple[str, Callable[[Vps | None, Step], Decision], list[type]]] = {
    "placed": (
        "requested",
        lambda vps, step: outcomes.placed(vps, step, ROOMS, at(1)),
        [CapacityReserved, VpsPlaced],
    ),
    "prepared": ("placed", lambda vps, step: outcomes.prepared(vps, step, "ssh-ed25519 A", at(2)), [VpsPrepared]),
    "launched": ("prepared", lambda vps, step: outcomes.launched(vps, step, "boot/1", at(3)), [VpsLaunched]),
    "came up": (
        "launched",
        lambda vps, step: outcomes.came_up(vps, wallet_after(ADMITTED), step, at(8)),
        [MeterStarted, VpsRunning],
    ),
    "restarted": ("restarting", lambda vps, step: outcomes.restarted(vps, step, at(99)), [VpsRestarted]),
    "failed": (
        "launched",
        lambda vps, step: outcomes.failed(vps, wallet_after(ADMITTED), step, "why", at(50)),
        [VpsReleased, VpsFailed],
    ),
    "went off": (
        "stopping",
        lambda vps, step: outcomes.went_off(vps, STOPPED_WALLET, host_after(SEEN_LATE), HELD, BOOK, step, at(104)),
        [CapacityReleased, MinutesMetered, MeterClosed, VpsStopped],
    ),
    "removed": (
        "deleting",
        lambda vps, step: outcomes.removed(vps, STOPPED_WALLET, host_after(SEEN_LATE), HELD, BOOK, step, at(104)),
        [CapacityReleased, MinutesMetered, MeterClosed, VpsDeleted],
    ),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_is_recorded_of_the_vps_and_of_its_meter(name: str) -> None:
    point, outcome, recorded = OUTCOMES[name]
    vps = vps_in(point)

    assert kinds(outcome(vps, step_of(vps))) == recorded


def test_a_meter_is_told_which_start_on_which_host_it_counts() -> None:
    vps = vps_in("launched")

    decision = outcomes.came_up(vps, wallet_after(ADMITTED), step_of(vps), at(8))

    assert decision.events[0][1] == MeterStarted(VPS, 1, at(8), HOST, "boot/1")


@pytest.mark.parametrize("point", LIVES)
@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_that_comes_too_late_is_not_recorded(name: str, point: str) -> None:
    expected, outcome, _ = OUTCOMES[name]
    step = step_of(vps_in(expected))
    present = vps_in(point)

    if next_step(present) != step:
        assert outcome(present, step) == NOTHING
    assert outcome(None, step) == NOTHING


def test_a_launch_told_twice_is_recorded_once_and_another_start_again() -> None:
    vps = vps_in("launched")

    assert outcomes.launched(vps, step_of(vps), "boot/1", at(4)).events == ()
    assert kinds(outcomes.launched(vps, step_of(vps), "boot/2", at(4))) == [VpsLaunched]


def test_a_claim_on_a_port_of_old_is_given_up_with_the_vps() -> None:
    deleting = vps_in("deleting")
    removed = outcomes.removed(deleting, STOPPED_WALLET, host_after(), HELD, BOOK, step_of(deleting), at(302))

    assert removed.releases == (("ssh-port", f"{HOST}:2201".encode()),)


def test_minutes_proven_before_a_stop_are_paid_and_nothing_after_it() -> None:
    vps = vps_in("stopping")
    decision = outcomes.went_off(vps, STOPPED_WALLET, host_after(SEEN_LATE), HELD, BOOK, step_of(vps), at(104))

    (metered,) = (event for _, event in decision.events if isinstance(event, MinutesMetered))
    assert [(line.n_from, line.n_to) for line in metered.lines] == [(1, 2)]
    assert {stream for stream, _ in decision.events} == {
        capacity_stream(HOST),
        wallet_stream(ACCOUNT),
        vps_stream(VPS),
    }


def found_off(vps: Vps, collected_at_s: float, *, shown_off: bool = True) -> Decision:
    host = HOST_FOLD.evolve(None, REGISTERED)
    assert isinstance(host, Host)
    differed = HostDiffered(HOST, VPS, "off", "recorded-off", at(collected_at_s))
    return outcomes.found_off(vps, RUNNING_WALLET, host, HELD, BOOK, differed, "guest", shown_off=shown_off)


def test_a_vps_found_off_is_stopped_and_what_nobody_can_prove_is_waived() -> None:
    decision = found_off(after(*UP), 128)

    off = [MinutesMetered, MinutesWaived, VpsReleased, MeterClosed, VpsStopped]
    assert kinds(decision) == [HostDiffered, CapacityReleased, *off]
    assert decision.events[0][0] == host_stream(HOST)


def test_what_is_only_absent_may_run_and_holds_what_it_holds() -> None:
    assert CapacityReleased not in kinds(found_off(after(*UP), 128, shown_off=False))


def test_an_observation_from_before_the_vps_came_up_stops_nothing() -> None:
    assert found_off(after(*UP), 7) == NOTHING
    assert found_off(vps_in("stopping"), 128) == NOTHING
