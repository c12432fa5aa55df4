"""A VPS can be asked for what makes sense where it is in its life, and for its end everywhere."""

from uuid import UUID

import pytest

from domain.compute import vps as life
from domain.compute.events import VpsDeleteRequested, VpsRestartRequested, VpsStartRequested, VpsStopRequested
from domain.compute.vps import VpsIsCreating, VpsIsStopping, VpsNotRunning
from domain.errors import NotFound
from domain.ids import AccountId
from tests.domain.compute.lives import ACCOUNT, LIVES, after, at, vps_in

CREATING = ("requested", "placed", "prepared", "launched")
THERE = tuple(point for point in LIVES if point not in ("deleting", "deleted"))


@pytest.mark.parametrize("point", CREATING)
@pytest.mark.parametrize("ask", [life.start, life.stop, life.restart])
def test_a_vps_that_is_creating_can_only_be_deleted(point: str, ask: object) -> None:
    with pytest.raises(VpsIsCreating):
        ask(vps_in(point), at(400))  # type: ignore[operator]


@pytest.mark.parametrize("point", THERE)
def test_a_vps_can_be_deleted_at_every_point_of_its_life(point: str) -> None:
    vps = vps_in(point)

    assert life.delete(vps, at(400)) == (VpsDeleteRequested(vps.generation, at(400)),)


@pytest.mark.parametrize("point", ["deleting", "deleted"])
def test_a_deleted_vps_does_not_exist_for_its_owner(point: str) -> None:
    vps = vps_in(point)

    with pytest.raises(NotFound):
        life.owned(vps, ACCOUNT)
    assert life.delete(vps, at(400)) == ()


def test_a_vps_does_not_exist_for_another_account() -> None:
    with pytest.raises(NotFound):
        life.owned(vps_in("running"), AccountId(UUID(int=99)))
    with pytest.raises(NotFound):
        life.owned(None, ACCOUNT)


@pytest.mark.parametrize("point", ["running", "restarting", "starting"])
def test_starting_what_runs_or_starts_changes_nothing(point: str) -> None:
    assert life.start(vps_in(point), at(400)) == ()


@pytest.mark.parametrize("point", ["stopping", "stopped", "failed", "in error, off"])
def test_stopping_what_is_off_or_on_its_way_changes_nothing(point: str) -> None:
    assert life.stop(vps_in(point), at(400)) == ()


@pytest.mark.parametrize("point", ["stopped", "in error, off"])
def test_what_is_off_starts_as_its_next_generation(point: str) -> None:
    assert life.start(vps_in(point), at(400)) == (VpsStartRequested(2, at(400)),)


@pytest.mark.parametrize("point", ["stopping", "failed"])
def test_what_is_not_shown_off_yet_cannot_be_started(point: str) -> None:
    with pytest.raises(VpsIsStopping):
        life.start(vps_in(point), at(400))


def test_a_start_under_way_can_be_stopped() -> None:
    assert life.stop(vps_in("starting"), at(400)) == (VpsStopRequested("requested", 2, at(400)),)


@pytest.mark.parametrize("point", ["stopping", "stopped", "starting", "failed", "in error, off"])
def test_only_what_runs_can_be_restarted(point: str) -> None:
    with pytest.raises(VpsNotRunning):
        life.restart(vps_in(point), at(400))


def test_a_restart_is_asked_for_once() -> None:
    assert life.restart(vps_in("running"), at(400)) == (VpsRestartRequested(1, at(400)),)
    assert life.restart(vps_in("restarting"), at(400)) == ()


@pytest.mark.parametrize(
    ("point", "state", "pending"),
    [
        ("requested", "creating", None),
        ("launched", "creating", None),
        ("running", "running", None),
        ("restarting", "running", "restart"),
        ("stopping", "running", "stop"),
        ("stopped", "stopped", None),
        ("starting", "stopped", "start"),
        ("failed", "error", None),
        ("in error, off", "error", None),
    ],
)
def test_its_state_is_told_as_its_owner_sees_it(point: str, state: str, pending: str | None) -> None:
    vps = vps_in(point)

    assert (vps.state, vps.pending) == (state, pending)


def test_a_stop_can_be_asked_for_in_every_state_by_the_service() -> None:
    assert life.request_stop(vps_in("launched"), "unpaid", at(400)) == (VpsStopRequested("unpaid", 1, at(400)),)
    assert life.request_stop(vps_in("deleting"), "unpaid", at(400)) == ()


def test_an_error_is_told_until_the_vps_is_started_and_runs_again() -> None:
    vps = vps_in("in error, off")
    started = after(*LIVES["in error, off"], *life.start(vps, at(400)))

    assert vps.error == "the guest did not answer in time"
    assert (started.state, started.pending) == ("error", "start")
