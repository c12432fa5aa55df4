"""At every stage of a life there is one next step or none, and every step but removal has an end."""

from collections.abc import Callable
from uuid import UUID

import pytest

from domain.compute import vps as life
from domain.compute.egress import NONE
from domain.compute.events import (
    SnapshotDeleted,
    SnapshotDeleteRequested,
    SnapshotRequested,
    SnapshotRestored,
    SnapshotRestoreRequested,
    SnapshotTaken,
    VpsDeleted,
    VpsEgressApplied,
    VpsRestarted,
    VpsStartRequested,
    VpsStopped,
    VpsStopRequested,
)
from domain.compute.steps import (
    CHANGES,
    HOST_PAUSES,
    STEPS,
    ChangeRow,
    Stage,
    StepRow,
    failed,
    next_step,
    row_of,
    stage_of,
)
from domain.compute.vps import Vps
from domain.events import Event
from domain.ids import SnapshotId
from domain.pauses import Pauses
from tests.domain.compute.lives import (
    LAUNCHED,
    LIVES,
    PLACED,
    PREPARED,
    RUNNING,
    SNAPSHOT,
    STOPPED,
    UP,
    after,
    at,
    vps_in,
)

STARTING = (*UP, VpsStopRequested("requested", 1, at(100)), STOPPED, VpsStartRequested(2, at(200)))
DONE: dict[Stage, tuple[str, Event]] = {
    "unplaced": ("requested", PLACED),
    "placed": ("placed", PREPARED),
    "prepared": ("prepared", LAUNCHED),
    "launched": ("launched", RUNNING),
    "filtering": ("filtering", VpsEgressApplied(1, 1, at(81))),
    "restarting": ("restarting", VpsRestarted(1, at(99))),
    "restoring": ("restoring", SnapshotRestored(SNAPSHOT, 1, at(99))),
    "snapshotting": ("snapshotting", SnapshotTaken(SNAPSHOT, at(99))),
    "dropping": ("dropping", SnapshotDeleted(SNAPSHOT, at(99))),
    "stopping": ("stopping", STOPPED),
    "abandoned": ("abandoned", STOPPED),
    "failed": ("failed", VpsStopped("failed", 1, at(51))),
    "deleting": ("deleting", VpsDeleted(at(301))),
}
"""A life at each stage of which the table has a step, and what is recorded once that is done."""

ASKED: dict[str, Callable[[Vps], tuple[Event, ...]]] = {
    "start": lambda vps: life.start(vps, at(400)),
    "stop, or unpaid": lambda vps: life.request_stop(vps, "unpaid", at(400)),
    "stop": lambda vps: life.stop(vps, at(400)),
    "restart": lambda vps: life.restart(vps, at(400)),
    "another policy": lambda vps: life.set_egress(vps, NONE, at(400)),
    "seen off": lambda _: (VpsStopped("guest", 1, at(400)),),
    "restore": lambda _: (SnapshotRestoreRequested(SNAPSHOT, 1, at(400)),),
    "snapshot": lambda _: (SnapshotRequested(SnapshotId(UUID(int=6)), "later", 5, at(400)),),
    "delete a snapshot": lambda _: (SnapshotDeleteRequested(SNAPSHOT, at(400)),),
}
AT_STAGE = {
    "off": vps_in("stopped"),
    "up": vps_in("kept"),
    "restoring": vps_in("restoring"),
    "snapshotting": vps_in("snapshotting"),
    "dropping": vps_in("dropping"),
    "restarting": vps_in("restarting"),
    "prepared": vps_in("starting"),
    "launched": after(*STARTING, LAUNCHED),
}

rows = pytest.mark.parametrize("row", STEPS, ids=[f"{row.name} at {row.stage}" for row in STEPS])


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ("requested", "place"),
        ("placed", "prepare"),
        ("prepared", "launch"),
        ("launched", "login"),
        ("running", None),
        ("filtering", "filter"),
        ("restarting", "reboot"),
        ("snapshotting", "take-snapshot"),
        ("dropping", "remove-snapshot"),
        ("kept", None),
        ("restoring", "restore"),
        ("restoring while off", "restore"),
        ("stopping", "halt"),
        ("abandoned", "halt"),
        ("stopped", None),
        ("starting", "launch"),
        ("failed", "halt"),
        ("in error, off", None),
        ("deleting", "remove"),
        ("deleted", None),
    ],
)
def test_the_next_step_follows_from_the_point_of_a_life(point: str, name: str | None) -> None:
    step = next_step(vps_in(point))

    assert (step and step.name) == name


def test_what_was_never_asked_for_has_no_step() -> None:
    assert next_step(None) is None


def test_what_is_as_it_should_be_has_come_to_an_end() -> None:
    assert [stage_of(vps_in(point)) for point in ("running", "stopped", "in error, off", "deleted")] == [
        *("up", "off", "off", "gone")
    ]


@rows
def test_a_step_that_is_done_leads_where_the_table_says(row: StepRow) -> None:
    point, done = DONE[row.stage]
    vps = vps_in(point)

    assert (stage_of(vps), type(done)) == (row.stage, row.recorded)
    assert stage_of(after(*LIVES[point], done)) == row.leads_to


@rows
def test_a_step_that_is_given_up_leads_where_the_table_says_and_one_without_a_deadline_never_is(row: StepRow) -> None:
    point, _ = DONE[row.stage]

    assert (row.given_up is None) == (row.deadline_s is None) == (row.trouble == "") == (row.undo == "")
    if row.given_up is not None:
        step = next_step(vps_in(point))
        assert step is not None
        (event,) = failed(vps_in(point), step, row.trouble, at(400))
        assert type(event) is row.failure
        given_up = after(*LIVES[point], event)
        assert stage_of(given_up) == row.given_up


@pytest.mark.parametrize("change", CHANGES, ids=[change.cause for change in CHANGES])
def test_what_comes_from_outside_leads_where_the_picture_says(change: ChangeRow) -> None:
    for stage in change.stages:
        before = AT_STAGE[stage]
        vps = before
        for event in ASKED[change.cause](before):
            vps = life.evolve(vps, event) or vps

        assert (stage_of(before), stage_of(vps)) == (stage, change.leads_to)


@pytest.mark.parametrize("point", LIVES)
def test_a_delete_is_accepted_at_every_stage_and_twice_is_once(point: str) -> None:
    vps = vps_in(point)

    requested = life.delete(vps, at(400))
    deleting = after(*LIVES[point], *requested)

    assert stage_of(deleting) == ("gone" if point == "deleted" else "deleting")
    assert life.delete(deleting, at(401)) == ()


def test_a_removal_the_end_of_what_failed_and_a_policy_are_tried_for_ever() -> None:
    assert [row.stage for row in STEPS if row.deadline_s is None] == ["deleting", "failed", "filtering"]


def test_only_a_guest_that_somebody_logged_into_has_a_grace() -> None:
    assert (row_of("stopping").grace_s, row_of("abandoned").grace_s, row_of("failed").grace_s) == (20, 0, 0)


def test_pauses_double_up_to_the_longest() -> None:
    assert [Pauses(1, 5).after(failures) for failures in (0, 1, 2, 3, 10**6)] == [1, 2, 4, 5, 5]


def test_nothing_that_is_tried_for_ever_keeps_a_stop_waiting() -> None:
    for_ever = [row for row in STEPS if row.deadline_s is None and row.stage not in ("deleting", "failed")]

    assert [row.name for row in for_ever] == ["filter"]
    assert all(row.pauses == HOST_PAUSES for row in for_ever), "until it is tried again, no stop is taken up"
