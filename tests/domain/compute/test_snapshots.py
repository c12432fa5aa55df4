"""Snapshots are asked for within bounds, count as much disk as they may keep, and a restore gives nothing away."""

from collections.abc import Callable
from uuid import UUID

import msgspec
import pytest

from domain.compute import capacity, outcomes, snapshots
from domain.compute import vps as life
from domain.compute.capacity import NoCapacity, Reservations, Room
from domain.compute.events import (
    CapacityReserved,
    SnapshotDeleted,
    SnapshotDeleteRequested,
    SnapshotFailed,
    SnapshotRequested,
    SnapshotRestored,
    SnapshotRestoreRequested,
    SnapshotTaken,
    VpsFailed,
    VpsStartRequested,
)
from domain.compute.snapshots import (
    SnapshotLimitReached,
    SnapshotNameTaken,
    SnapshotNotReady,
    TakeSnapshot,
    VpsIsStarting,
)
from domain.compute.steps import next_step
from domain.compute.vps import Vps, VpsIsCreating, VpsIsRestoring, VpsIsStopping
from domain.deciding import NOTHING, Decision
from domain.errors import Invalid, NotFound, Refusal
from domain.ids import AccountId, SnapshotId
from domain.wallet.events import (
    MeterClosed,
    MinutesMetered,
    SnapshotsKept,
    VpsAdmitted,
    VpsReleased,
)
from domain.wallet.funds import InsufficientBalance
from domain.wallet.vps_limits import VpsDiskLimitReached, VpsLimits
from domain.wallet.wallet import Wallet
from tests.domain.compute.lives import (
    ACCOUNT,
    HOST,
    KEPT,
    LIVES,
    SNAPSHOT,
    SNAPSHOT_REQUESTED,
    STOP_REQUESTED,
    STOPPED,
    UP,
    VPS,
    after,
    at,
    vps_in,
)
from tests.domain.compute.test_host import host_after, seen
from tests.domain.compute.test_outcomes import ADMITTED, BOOK, HELD, METER_STARTED, RUNNING_WALLET, kinds, wallet_after

LIMITS = VpsLimits(vps_max=20, vps_disk_gb_max=500)
SECOND = SnapshotId(UUID(int=6))
LATE = (seen(9), seen(101))
"""Looks at the host that prove the minutes in between."""


def room(disk_gb: int | None = None, reserved: Reservations = HELD) -> Room:
    host = msgspec.structs.replace(host_after(*LATE), disk_gb=disk_gb)
    return Room(host, reserved, cpu_percent=100, disk_percent=100)


def take(
    vps: Vps | None,
    name: str = "second",
    *,
    wallet: Wallet = RUNNING_WALLET,
    disk_gb: int | None = None,
    limits: VpsLimits = LIMITS,
    snapshots_max: int = 2,
    account_id: AccountId = ACCOUNT,
) -> Decision:
    command, rooms = TakeSnapshot(snapshot_id=SECOND, name=name), (room(disk_gb),)
    return snapshots.take_snapshot(vps, wallet, BOOK, rooms, limits, snapshots_max, account_id, command, at(200))


def restore(vps: Vps | None, *, wallet: Wallet = RUNNING_WALLET, name: str = "before") -> Decision:
    return snapshots.restore_snapshot(vps, wallet, BOOK, ACCOUNT, name, at(200))


def restored(vps: Vps, *, wallet: Wallet = RUNNING_WALLET, reserved: Reservations = HELD) -> Decision:
    step = next_step(vps)
    assert step is not None
    return snapshots.restored(vps, wallet, host_after(*LATE), reserved, BOOK, step, at(102))


@pytest.mark.parametrize("point", ["running", "stopped", "restarting", "stopping"])
def test_a_snapshot_of_what_has_a_disk_is_reserved_and_counted_in_one(point: str) -> None:
    decision = take(vps_in(point))

    assert kinds(decision) == [CapacityReserved, SnapshotsKept, SnapshotRequested]
    (_, reserved), (_, kept), (_, requested) = decision.events
    assert isinstance(reserved, CapacityReserved)
    assert isinstance(kept, SnapshotsKept)
    assert isinstance(requested, SnapshotRequested)
    assert (reserved.disk_gb, reserved.memory_mb, reserved.ssh_port) == (10, 256, 2201), "nothing else changes hands"
    assert (kept.disk_gb, requested.disk_gb) == (5, 5)


@pytest.mark.parametrize(
    ("refused", "refusal"),
    [
        (lambda: take(vps_in("launched")), VpsIsCreating),
        (lambda: take(vps_in("deleting")), NotFound),
        (lambda: take(None), NotFound),
        (lambda: take(vps_in("running"), account_id=AccountId(UUID(int=77))), NotFound),
        (lambda: take(vps_in("running"), "Not a label"), Invalid),
        (lambda: take(vps_in("kept"), "before"), SnapshotNameTaken),
        (lambda: take(vps_in("kept"), snapshots_max=1), SnapshotLimitReached),
        (lambda: take(vps_in("dropping"), snapshots_max=1), SnapshotLimitReached),
        (lambda: take(vps_in("running"), disk_gb=9), NoCapacity),
        (lambda: take(vps_in("running"), limits=VpsLimits(20, 9)), VpsDiskLimitReached),
        (lambda: restore(vps_in("kept"), name="another"), NotFound),
        (lambda: restore(vps_in("dropping")), NotFound),
        (lambda: restore(vps_in("snapshotting")), SnapshotNotReady),
        (lambda: restore(after(*KEPT, STOP_REQUESTED)), VpsIsStopping),
        (lambda: restore(after(*KEPT, STOP_REQUESTED, STOPPED, VpsStartRequested(2, at(200)))), VpsIsStarting),
        (lambda: restore(vps_in("kept"), wallet=wallet_after(ADMITTED, METER_STARTED, funds=1)), InsufficientBalance),
        (lambda: snapshots.delete_snapshot(vps_in("restoring"), ACCOUNT, "before", at(200)), VpsIsRestoring),
        (lambda: snapshots.delete_snapshot(vps_in("dropping"), ACCOUNT, "before", at(200)), NotFound),
        (lambda: life.start(vps_in("restoring while off"), at(200)), VpsIsRestoring),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_reason(refused: Callable[[], object], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        refused()


def test_the_name_of_a_deleted_snapshot_is_free_at_once() -> None:
    assert SnapshotRequested in kinds(take(vps_in("dropping"), "before"))


def test_a_second_snapshot_counts_beside_the_first() -> None:
    wallet = wallet_after(ADMITTED, METER_STARTED, SnapshotsKept(ACCOUNT, VPS, 5))

    with pytest.raises(VpsDiskLimitReached) as refusal:
        take(vps_in("kept"), wallet=wallet, limits=VpsLimits(20, 14))
    assert refusal.value.facts == {"vps_disk_gb": 10, "disk_gb": 5, "vps_disk_gb_max": 14}
    assert SnapshotsKept(ACCOUNT, VPS, 10) in [event for _, event in take(vps_in("kept"), wallet=wallet).events]


def test_what_snapshots_count_outlives_a_stop_and_a_start() -> None:
    again = msgspec.structs.replace(ADMITTED, generation=2)
    wallet = wallet_after(
        *(ADMITTED, METER_STARTED, SnapshotsKept(ACCOUNT, VPS, 5)),
        *(VpsReleased(VPS, 1, at(100), "stop"), MeterClosed(VPS, 1, at(104)), again),
    )
    place = capacity.reserve_again((room(reserved=_held(10)),), HOST, vps_in("kept"), 2, 2201)

    assert wallet.meters[VPS].snapshots_gb == 5
    assert place.event.disk_gb == 10


def test_a_removed_snapshot_gives_back_what_it_counted() -> None:
    vps = vps_in("dropping")
    step = next_step(vps)
    assert step is not None
    decision = snapshots.deleted(vps, _held(10), step, at(200))

    assert kinds(decision) == [CapacityReserved, SnapshotsKept, SnapshotDeleted]
    assert [event.disk_gb for _, event in decision.events[:2]] == [5, 0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("point", ["snapshotting", "dropping"])
def test_what_cannot_be_taken_or_removed_in_time_is_in_error_and_can_be_deleted(point: str) -> None:
    vps = vps_in(point)
    step = next_step(vps)
    assert step is not None
    decision = outcomes.failed(vps, RUNNING_WALLET, step, "the host could not", at(300))
    failed = after(*LIVES[point], *(event for _, event in decision.events))

    assert kinds(decision) == [SnapshotFailed]
    assert (failed.state, failed.usable, failed.snapshots[0].state) == ("running", True, "error")
    assert kinds(snapshots.delete_snapshot(failed, ACCOUNT, "before", at(301))) == [SnapshotDeleteRequested]
    with pytest.raises(SnapshotNotReady):
        restore(failed)


def test_a_restore_of_what_is_off_leaves_it_off_and_asks_the_wallet_nothing() -> None:
    vps = vps_in("stopped, with a snapshot")
    requested = restore(vps, wallet=wallet_after(funds=0))
    done = restored(vps_in("restoring while off"), wallet=wallet_after(funds=0))

    assert kinds(requested) == [SnapshotRestoreRequested]
    assert kinds(done) == [SnapshotRestored]
    assert (vps_in("restoring while off").pending, vps_in("restoring while off").state) == ("restore", "stopped")


def test_a_restore_of_what_runs_ends_that_start_and_begins_the_next_in_one() -> None:
    assert kinds(restore(vps_in("kept"))) == [SnapshotRestoreRequested], "it goes on counting as running"

    decision = restored(vps_in("restoring"))

    assert kinds(decision) == [
        *(CapacityReserved, MinutesMetered, VpsReleased, MeterClosed, VpsAdmitted),
        *(SnapshotRestored, VpsStartRequested),
    ]
    (_, reserved) = decision.events[0]
    assert isinstance(reserved, CapacityReserved)
    assert (reserved.generation, reserved.ssh_port) == (2, 2201)
    metered = decision.events[1][1]
    assert isinstance(metered, MinutesMetered)
    assert metered.lines[0].n_to == 2, "94 seconds are two minutes"


def test_a_vps_that_is_being_restored_takes_no_commands() -> None:
    assert not vps_in("restoring").usable


def test_a_restore_that_is_asked_for_twice_is_one() -> None:
    assert restore(vps_in("restoring")) == NOTHING


def test_an_hour_that_was_covered_when_it_was_asked_for_is_held_back_until_it_is_on_again() -> None:
    enough, poor = wallet_after(ADMITTED, METER_STARTED), wallet_after(ADMITTED, METER_STARTED, funds=4199)

    assert restore(vps_in("kept"), wallet=enough) != NOTHING
    assert VpsAdmitted in kinds(restored(vps_in("restoring"), wallet=enough)), "less the minutes that it ran since"
    with pytest.raises(InsufficientBalance):
        restore(vps_in("kept"), wallet=poor)


def test_what_its_host_holds_nothing_for_is_not_started() -> None:
    with pytest.raises(NoCapacity):
        restored(vps_in("restoring"), reserved=Reservations())


def test_a_stop_that_comes_while_it_is_restored_wins_and_the_disk_is_restored_after() -> None:
    stopping = after(*LIVES["restoring"], *life.stop(vps_in("restoring"), at(71)))
    off = after(*LIVES["restoring"], *life.stop(vps_in("restoring"), at(71)), STOPPED)

    step, next_one = next_step(stopping), next_step(off)
    assert step is not None
    assert next_one is not None
    assert (step.name, next_one.name) == ("halt", "restore")
    assert (off.pending, off.state) == ("restore", "stopped")
    assert kinds(restored(off)) == [SnapshotRestored]


def test_a_restore_that_is_given_up_ends_in_error_and_can_be_started_from_there() -> None:
    vps = vps_in("restoring")
    step = next_step(vps)
    assert step is not None
    decision = outcomes.failed(vps, RUNNING_WALLET, step, "the host could not", at(300))
    failed = after(*LIVES["restoring"], *(event for stream, event in decision.events if stream == VPS))

    assert kinds(decision) == [VpsReleased, VpsFailed]
    assert (failed.state, failed.restoring, failed.wanted_on) == ("error", None, False)


@pytest.mark.parametrize("point", ["snapshotting", "dropping", "restoring"])
def test_an_outcome_that_comes_too_late_has_nothing_recorded(point: str) -> None:
    vps = vps_in(point)
    step = next_step(vps)
    assert step is not None
    gone = after(*LIVES[point], *life.delete(vps, at(300)))

    assert snapshots.taken(gone, step, at(301)) == NOTHING
    assert snapshots.deleted(gone, HELD, step, at(301)) == NOTHING
    assert snapshots.restored(gone, RUNNING_WALLET, host_after(), HELD, BOOK, step, at(301)) == NOTHING


def test_each_of_two_snapshots_is_a_step_of_its_own() -> None:
    both = after(*UP, SNAPSHOT_REQUESTED, SnapshotRequested(SECOND, "second", 5, at(62)))
    first = next_step(both)
    second = next_step(after(*UP, SNAPSHOT_REQUESTED, SnapshotRequested(SECOND, "second", 5, at(62)), *(
        SnapshotTaken(SNAPSHOT, at(63)),
    )))  # fmt: skip

    assert first is not None
    assert second is not None
    assert (first.snapshot_id, second.snapshot_id) == (SNAPSHOT, SECOND)
    assert snapshots.taken(both, second, at(64)) == NOTHING


def test_the_newest_is_listed_first_and_what_is_being_deleted_not_at_all() -> None:
    two = after(*KEPT, SnapshotRequested(SECOND, "second", 5, at(62)))

    assert [one.name for one in snapshots.list_snapshots(two, ACCOUNT)] == ["second", "before"]
    assert snapshots.list_snapshots(vps_in("dropping"), ACCOUNT) == []


def _held(disk_gb: int) -> Reservations:
    return capacity.evolve(HELD, CapacityReserved(HOST, VPS, 1, 1, 256, disk_gb, 2201))
