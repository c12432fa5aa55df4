"""VPSs at every point of their lives, made by the events that lead there."""

from uuid import UUID

from domain.compute import vps as life
from domain.compute.commands import CreateVps
from domain.compute.events import (
    SnapshotDeleteRequested,
    SnapshotRequested,
    SnapshotRestoreRequested,
    SnapshotTaken,
    VpsDeleted,
    VpsDeleteRequested,
    VpsEgressSet,
    VpsFailed,
    VpsLaunched,
    VpsPlaced,
    VpsPrepared,
    VpsRestartRequested,
    VpsRunning,
    VpsStartRequested,
    VpsStopped,
    VpsStopRequested,
)
from domain.compute.vps import Vps
from domain.events import Event
from domain.ids import AccountId, HostId, PlanId, SnapshotId, VpsId
from domain.time import Instant, seconds

ACCOUNT = AccountId(UUID(int=1))
VPS = VpsId(UUID(int=2))
HOST = HostId(UUID(int=3))
PLAN = PlanId(UUID(int=4))
SNAPSHOT = SnapshotId(UUID(int=5))
CREATE = CreateVps(
    vps_id=VPS, account_id=ACCOUNT, name="web", plan_id=PLAN, vcpu=1, memory_mb=256, disk_gb=5, image="lite"
)


def at(after_s: float) -> Instant:
    """Return an instant, so many seconds after the beginning of the tests."""
    return Instant(1_700_000_000_000_000 + seconds(after_s))


PLACED = VpsPlaced(HOST, "127.0.0.1", 2201, at(1))
PREPARED = VpsPrepared("ssh-ed25519 AAAA", at(2))
LAUNCHED = VpsLaunched(1, "boot/1", at(3))
RUNNING = VpsRunning(1, "boot/1", 0, at(8))
STOP_REQUESTED = VpsStopRequested("requested", 1, at(100))
STOPPED = VpsStopped("requested", 1, at(104))
START_REQUESTED = VpsStartRequested(2, at(200))
FAILED = VpsFailed(1, "login", "the guest did not answer in time", at(50))
DELETE_REQUESTED = VpsDeleteRequested(1, at(300))

SNAPSHOT_REQUESTED = SnapshotRequested(SNAPSHOT, "before", 5, at(60))
SNAPSHOT_TAKEN = SnapshotTaken(SNAPSHOT, at(61))

UP: tuple[Event, ...] = (PLACED, PREPARED, LAUNCHED, RUNNING)
KEPT: tuple[Event, ...] = (*UP, SNAPSHOT_REQUESTED, SNAPSHOT_TAKEN)
"""It runs, and has a snapshot."""

LIVES: dict[str, tuple[Event, ...]] = {
    "requested": (),
    "placed": (PLACED,),
    "prepared": (PLACED, PREPARED),
    "launched": (PLACED, PREPARED, LAUNCHED),
    "running": UP,
    "filtering": (*UP, VpsEgressSet('{"mode":"none"}', at(80))),
    "restarting": (*UP, VpsRestartRequested(1, at(90))),
    "snapshotting": (*UP, SNAPSHOT_REQUESTED),
    "kept": KEPT,
    "dropping": (*KEPT, SnapshotDeleteRequested(SNAPSHOT, at(70))),
    "restoring": (*KEPT, SnapshotRestoreRequested(SNAPSHOT, 1, at(70))),
    "stopped, with a snapshot": (*KEPT, STOP_REQUESTED, STOPPED),
    "restoring while off": (*KEPT, STOP_REQUESTED, STOPPED, SnapshotRestoreRequested(SNAPSHOT, 1, at(110))),
    "stopping": (*UP, STOP_REQUESTED),
    "stopped": (*UP, STOP_REQUESTED, STOPPED),
    "starting": (*UP, STOP_REQUESTED, STOPPED, START_REQUESTED),
    "abandoned": (*UP, STOP_REQUESTED, STOPPED, START_REQUESTED, VpsStopRequested("requested", 2, at(201))),
    "failed": (PLACED, PREPARED, LAUNCHED, FAILED),
    "in error, off": (PLACED, PREPARED, LAUNCHED, FAILED, VpsStopped("failed", 1, at(51))),
    "deleting": (*UP, DELETE_REQUESTED),
    "deleted": (*UP, DELETE_REQUESTED, VpsDeleted(at(301))),
}
"""The events after the request that lead to each point of a life."""


def vps_in(point: str) -> Vps:
    """Return a VPS at this point of its life."""
    return after(*LIVES[point])


def after(*events: Event) -> Vps:
    """Return the VPS after its request and these events."""
    vps: Vps | None = None
    for event in (*life.create(CREATE, at(0)), *events):
        vps = life.evolve(vps, event)
    assert vps is not None
    return vps
