"""Each state has its reason as a stable word, and each error a way out."""

from typing import get_args

import msgspec
import pytest

from domain.compute.capacity import NoCapacity
from domain.compute.events import (
    OffReason,
    VpsExpirySet,
    VpsExpiryWarned,
    VpsFailed,
    VpsHostLost,
    VpsStartRequested,
    VpsStopped,
    VpsStopRequested,
)
from domain.compute.status import HOST_KEY_CHANGED, WAYS_OUT, StatusReason, failure_of, status_reason, told_error
from domain.compute.steps import STEPS
from tests.domain.compute.lives import HOST, LIVES, UP, after, at, vps_in


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("requested", "scheduling"),
        ("placed", "scheduling"),
        ("prepared", "scheduling"),
        ("launched", "booting"),
        ("running", None),
        ("restarting", "restarting"),
        ("stopping", "requested"),
        ("stopped", "requested"),
        ("starting", "scheduling"),
        ("failed", "guest_unreachable"),
        ("in error, off", "guest_unreachable"),
    ],
)
def test_the_reason_follows_from_the_point_of_a_life(point: str, reason: StatusReason | None) -> None:
    assert status_reason(vps_in(point)) == reason


@pytest.mark.parametrize(
    ("why", "reason"),
    [("unpaid", "unpaid"), ("limit", "token_limit"), ("frozen", "account_frozen"), ("requested", "requested")],
)
def test_who_is_stopped_is_told_why_at_once_and_afterwards(why: OffReason, reason: StatusReason) -> None:
    stopping = (*UP, VpsStopRequested(why, 1, at(100)))  # type: ignore[arg-type]

    assert status_reason(after(*stopping)) == reason
    assert status_reason(after(*stopping, VpsStopped(why, 1, at(101)))) == reason


def test_a_guest_that_went_off_by_itself_and_one_that_was_replaced_are_told_apart() -> None:
    assert status_reason(after(*UP, VpsStopped("guest", 1, at(100)))) == "guest_off"
    assert status_reason(after(*UP, VpsStopped("lost", 1, at(100)))) == "guest_lost"


def test_a_host_that_gives_no_answer_is_told_before_all_else() -> None:
    assert status_reason(after(*UP, VpsHostLost(HOST, at(90), at(100)))) == "host_lost"


def test_one_that_is_deleted_soon_is_told_so_while_it_runs() -> None:
    soon = (VpsExpirySet(at(200), at(50)), VpsExpiryWarned(at(200), at(100)))

    assert status_reason(after(*UP, *soon)) == "ttl"
    assert status_reason(after(*UP, *soon, VpsExpirySet(None, at(101)))) is None


@pytest.mark.parametrize(
    ("step", "error", "failure"),
    [
        ("place", NoCapacity.sentence, "no_capacity"),
        ("prepare", "the host could not start the guest in time", "host_failed"),
        ("launch", "the host could not start the guest in time", "host_failed"),
        ("halt", "the host could not stop the guest in time", "host_failed"),
        ("login", "the guest did not answer in time", "guest_unreachable"),
        ("reboot", "the guest did not answer in time", "guest_unreachable"),
        ("login", HOST_KEY_CHANGED, "host_key_changed"),
    ],
)
def test_an_error_tells_its_cause_and_what_the_owner_can_do(step: str, error: str, failure: StatusReason) -> None:
    vps = after(*LIVES["launched"], VpsFailed(1, step, error, at(50)))

    assert status_reason(vps) == failure_of(vps) == failure
    assert told_error(vps) == f"{error}; {WAYS_OUT[failure_of(vps)]}"


@pytest.mark.parametrize("row", [row for row in STEPS if row.given_up == "failed"], ids=lambda row: row.stage)
def test_every_step_that_puts_a_vps_in_error_has_a_cause_and_a_way_out(row: object) -> None:
    step, trouble = row.name, row.trouble  # type: ignore[attr-defined]
    vps = after(*LIVES["launched"], VpsFailed(1, step, trouble, at(50)))

    assert status_reason(vps) in get_args(StatusReason)
    assert told_error(vps) is not None


def test_an_error_that_is_tried_again_is_told_as_what_is_done_now() -> None:
    again = after(*LIVES["in error, off"], VpsStartRequested(2, at(60)))

    assert (again.state, status_reason(again)) == ("error", "scheduling")


def test_what_runs_has_no_error() -> None:
    assert told_error(vps_in("running")) is None
    assert msgspec.json.encode(status_reason(vps_in("running"))) == b"null"
