"""Steps: a table of what is to be done for a VPS, when, for how long, and what is recorded of each outcome.

The table is the one place that says so: what is next, how long it is tried, what its owner is told, and the page
``docs/reference/steps.md`` all follow from it. What a step does outside is in ``api/workers/steps``.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from domain.compute import events as recorded
from domain.compute.events import VpsFailed
from domain.compute.snapshot import SnapshotState
from domain.compute.vps import Vps
from domain.events import Event
from domain.ids import HostId, SnapshotId
from domain.pauses import Pauses
from domain.time import Instant

StepName = Literal[
    "place",
    "prepare",
    "launch",
    "login",
    "reboot",
    "filter",
    "halt",
    "remove",
    "restore",
    "take-snapshot",
    "remove-snapshot",
]

Stage = Literal[
    "unplaced",
    "placed",
    "prepared",
    "launched",
    "up",
    "filtering",
    "restarting",
    "restoring",
    "snapshotting",
    "dropping",
    "stopping",
    "abandoned",
    "failed",
    "off",
    "deleting",
    "gone",
]
"""How far a VPS has come on its way to where it is wanted; ``up``, ``off`` and ``gone`` are where ways end."""


HOST_PAUSES = Pauses(1.0, 4.0)
"""A host that did not do it, or did not answer, within a deadline."""
GUEST_PAUSES = Pauses(0.1, 0.1)
"""A guest that does not let anybody in yet: it may at any moment, and its minutes begin with that."""
ENDLESS_PAUSES = Pauses(1.0, 60.0)
"""What is tried for ever, of a VPS that is to be off or gone: in between, nothing else is done about it either."""


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: a step that is due at one stage of a VPS."""

    name: StepName
    stage: Stage
    """At which it is due, and which it leaves."""
    due: Callable[[Vps], bool]
    """Whether a VPS is at this stage, if it is at none of the rows before."""
    does: str
    """What is had so, as the documentation tells it; done again it changes nothing."""
    leads_to: Stage
    """Once it is done."""
    recorded: type[Event]
    """What the stream of the VPS has then."""
    deadline_s: float | None = None
    """How long it is tried before it is given up; None: for ever."""
    pauses: Pauses = HOST_PAUSES
    """Between two tries."""
    guest_pauses: Pauses = GUEST_PAUSES
    """The same where it was the guest that did not answer."""
    grace_s: float = 0.0
    """How long a guest has to shut down by itself."""
    boots: bool = False
    """Whether it leads to a guest that boots, of which a host bears a few at once."""
    given_up: Stage | None = None
    """Where the VPS is once the step was given up; None: it never is."""
    undo: str = ""
    """What becomes then of that which it may have half done."""
    failure: type[Event] = VpsFailed
    """What is recorded where it was given up."""
    trouble: str = ""
    """What the owner is told where it was given up: where it failed, not how the house is built."""


def _is_to_run(vps: Vps) -> bool:
    return vps.wanted_on and vps.power != "up"


def _is_to_be_off(vps: Vps) -> bool:
    return not vps.wanted_on and vps.power != "off"


def _has_snapshot(vps: Vps, state: SnapshotState) -> bool:
    return any(snapshot.state == state for snapshot in vps.snapshots)


_PUT_OFF = "the guest is put off, however long that takes; its disk is kept, and nothing is charged"
_NOT_STARTED = "the host could not start the guest in time"
_NO_ANSWER = "the guest did not answer in time"
_NOT_STOPPED = "the host could not stop the guest in time"

STEPS: tuple[StepRow, ...] = (
    StepRow(
        name="remove",
        stage="deleting",
        due=lambda vps: vps.pending == "delete",
        does="has nothing left of it on the host, its last minutes proven before",
        leads_to="gone",
        recorded=recorded.VpsDeleted,
        pauses=ENDLESS_PAUSES,
    ),
    StepRow(
        # Nothing worse can be told of it than that it is in error, so it is put off however long it takes.
        name="halt",
        stage="failed",
        due=lambda vps: _is_to_be_off(vps) and vps.state == "error",
        does="has the guest off by force",
        leads_to="off",
        recorded=recorded.VpsStopped,
        pauses=ENDLESS_PAUSES,
    ),
    StepRow(
        name="halt",
        stage="stopping",
        due=lambda vps: _is_to_be_off(vps) and vps.power == "up",
        does="has the guest off: asked first, then by force, its last minutes proven before",
        leads_to="off",
        recorded=recorded.VpsStopped,
        deadline_s=120,
        grace_s=20,
        given_up="failed",
        undo=_PUT_OFF,
        trouble=_NOT_STOPPED,
    ),
    StepRow(
        # Nobody logged in yet, so it has nothing to put away; and all it did with a grace would be free.
        name="halt",
        stage="abandoned",
        due=_is_to_be_off,
        does="has the guest off by force",
        leads_to="off",
        recorded=recorded.VpsStopped,
        deadline_s=120,
        given_up="failed",
        undo=_PUT_OFF,
        trouble=_NOT_STOPPED,
    ),
    StepRow(
        # Before a restart that waits as well: what is not to be reached any more is not to be reached meanwhile.
        name="filter",
        stage="filtering",
        due=lambda vps: vps.wanted_on and vps.power == "up" and vps.egress_applied != vps.egress_revision,
        does="has the guest reach what its owner last said",
        leads_to="up",
        recorded=recorded.VpsEgressApplied,
    ),
    StepRow(
        name="restore",
        stage="restoring",
        due=lambda vps: vps.restoring is not None,
        does="has the guest off by force, its last minutes proven before, and its disk as it was; what was on starts",
        leads_to="off",
        recorded=recorded.SnapshotRestored,
        deadline_s=120,
        boots=True,
        given_up="failed",
        undo="the disk is as it was before or as in the snapshot; the guest is put off, and nothing is charged",
        trouble="the host could not restore the snapshot in time",
    ),
    StepRow(
        name="reboot",
        stage="restarting",
        due=lambda vps: vps.power == "up" and vps.pending == "restart",
        does="has the guest's system started anew, and logs in again",
        leads_to="up",
        recorded=recorded.VpsRestarted,
        deadline_s=180,
        grace_s=20,
        boots=True,
        given_up="failed",
        undo=_PUT_OFF,
        trouble=_NO_ANSWER,
    ),
    StepRow(
        name="place",
        stage="unplaced",
        due=lambda vps: _is_to_run(vps) and vps.host_id is None,
        does="finds a host with room; what is asked for now has its place from the first",
        leads_to="placed",
        recorded=recorded.VpsPlaced,
        deadline_s=30,
        boots=True,
        given_up="failed",
        undo="nothing was reserved",
        trouble=_NOT_STARTED,
    ),
    StepRow(
        name="prepare",
        stage="placed",
        due=lambda vps: _is_to_run(vps) and vps.host_key_public is None,
        does="has disk and seed made, with the guest's SSH host key",
        leads_to="prepared",
        recorded=recorded.VpsPrepared,
        deadline_s=120,
        boots=True,
        given_up="failed",
        undo="what there is of the disk is kept for the next start, or goes with the VPS",
        trouble=_NOT_STARTED,
    ),
    StepRow(
        name="login",
        stage="launched",
        due=lambda vps: _is_to_run(vps) and vps.power == "launched",
        does="has the guest running and logs in; the first login is where the minutes begin",
        leads_to="up",
        recorded=recorded.VpsRunning,
        deadline_s=180,
        boots=True,
        given_up="failed",
        undo=_PUT_OFF,
        trouble=_NO_ANSWER,
    ),
    StepRow(
        name="launch",
        stage="prepared",
        due=_is_to_run,
        does="has the guest started as this generation",
        leads_to="launched",
        recorded=recorded.VpsLaunched,
        deadline_s=120,
        boots=True,
        given_up="failed",
        undo=_PUT_OFF,
        trouble=_NOT_STARTED,
    ),
    StepRow(
        # The last two, so that whatever is on its way to be on or off gets there first.
        name="remove-snapshot",
        stage="dropping",
        due=lambda vps: _has_snapshot(vps, "deleting"),
        does="has nothing left of a snapshot, on or off",
        leads_to="up",
        recorded=recorded.SnapshotDeleted,
        deadline_s=120,
        given_up="up",
        undo="the snapshot is in error and counts as kept, until it is deleted again or its VPS is",
        failure=recorded.SnapshotFailed,
        trouble="the host could not remove the snapshot in time",
    ),
    StepRow(
        name="take-snapshot",
        stage="snapshotting",
        due=lambda vps: _has_snapshot(vps, "creating"),
        does="has the disk kept as it is, on or off; a guest that is on writes out first what it has in memory",
        leads_to="up",
        recorded=recorded.SnapshotTaken,
        deadline_s=120,
        given_up="up",
        undo="the snapshot is in error and counts as kept, for the host may have it; deleting it removes that",
        failure=recorded.SnapshotFailed,
        trouble="the host could not take the snapshot in time",
    ),
)
"""In the order of asking: of several that could be due, the first is."""


class ChangeRow(msgspec.Struct, frozen=True):
    """What comes from outside and changes where a VPS is wanted, and so which step is next."""

    cause: str
    stages: tuple[Stage, ...]
    """At which it can come."""
    leads_to: Stage


CHANGES: tuple[ChangeRow, ...] = (
    ChangeRow("start", ("off",), "prepared"),
    ChangeRow("stop, or unpaid", ("up", "restarting", "restoring", "snapshotting", "dropping"), "stopping"),
    ChangeRow("stop", ("prepared", "launched"), "abandoned"),
    ChangeRow("restart", ("up",), "restarting"),
    ChangeRow("restore", ("up",), "restoring"),
    ChangeRow("snapshot", ("up",), "snapshotting"),
    ChangeRow("delete a snapshot", ("up",), "dropping"),
    ChangeRow("another policy", ("up",), "filtering"),
    ChangeRow("seen off", ("up",), "off"),
)
"""For the picture of it; a delete comes at every stage and leads to ``deleting``."""


class Step(msgspec.Struct, frozen=True):
    """One repeatable step of one start of a VPS."""

    row: StepRow
    generation: int
    snapshot_id: SnapshotId | None = None
    """Which snapshot it is about; None: none of them."""

    @property
    def name(self) -> StepName:
        """Return what is to be done."""
        return self.row.name


def next_step(vps: Vps | None) -> Step | None:
    """Return what is to be done for a VPS now, None where it is as it should be."""
    if vps is None or vps.deleted:
        return None
    row = next((row for row in STEPS if row.due(vps)), None)
    return None if row is None else Step(row, vps.generation, _snapshot_of(vps, row))


def _snapshot_of(vps: Vps, row: StepRow) -> SnapshotId | None:
    if row.name == "restore":
        return vps.restoring
    state = {"take-snapshot": "creating", "remove-snapshot": "deleting"}.get(row.name)
    return next((one.snapshot_id for one in vps.snapshots if one.state == state), None)


def row_of(stage: Stage) -> StepRow:
    """Return the row of the step that is due at a stage."""
    return next(row for row in STEPS if row.stage == stage)


def stage_of(vps: Vps) -> Stage:
    """Return how far a VPS has come."""
    step = next_step(vps)
    if step is not None:
        return step.row.stage
    return "gone" if vps.deleted else "up" if vps.wanted_on else "off"


def placed(host_id: HostId, ssh_host: str, ssh_port: int, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once a host and a port are found."""
    return (recorded.VpsPlaced(host_id=host_id, ssh_host=ssh_host, ssh_port=ssh_port, at=now),)


def prepared(host_key_public: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once disk and seed are on the host."""
    return (recorded.VpsPrepared(host_key_public=host_key_public, at=now),)


def launched(vps: Vps, start_id: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the host has started the guest; nothing if that was recorded before."""
    if vps.power == "launched" and vps.start_id == start_id:
        return ()
    return (recorded.VpsLaunched(generation=vps.generation, start_id=start_id, at=now),)


def running(vps: Vps, at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the service has logged in, at ``at``."""
    # CPU time never falls within one start, so that 0 is a true lower bound at the first login.
    return (recorded.VpsRunning(generation=vps.generation, start_id=vps.start_id, cpu_ns=0, at=at),)


def restarted(vps: Vps, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the service has logged in after a restart."""
    return (recorded.VpsRestarted(generation=vps.generation, at=now),)


def filtered(vps: Vps, revision: int, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the host has a policy in force."""
    return (recorded.VpsEgressApplied(generation=vps.generation, revision=revision, at=now),)


def stopped(vps: Vps, off_at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once the host shows the guest off, as it was to be."""
    return (recorded.VpsStopped(reason=vps.stop_reason or "failed", generation=vps.generation, off_at=off_at),)


def failed(vps: Vps, step: Step, error: str, now: Instant) -> tuple[Event, ...]:
    """Return what is recorded once a step has missed its deadline, or never can be done."""
    if step.row.failure is recorded.SnapshotFailed:
        assert step.snapshot_id is not None, "it is about one of its snapshots"
        return (recorded.SnapshotFailed(snapshot_id=step.snapshot_id, step=step.name, error=error, at=now),)
    return (recorded.VpsFailed(generation=vps.generation, step=step.name, error=error, at=now),)


def deleted(off_at: Instant) -> tuple[Event, ...]:
    """Return what is recorded once nothing is left of the VPS on its host."""
    return (recorded.VpsDeleted(off_at=off_at),)
