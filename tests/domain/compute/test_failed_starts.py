"""What a start that came to nothing leaves with the wallet, and who is to blame."""

import pytest

from domain.compute import admission, outcomes
from domain.compute.steps import next_step
from domain.compute.vps import Vps, evolve
from domain.events import Event
from domain.time import seconds
from domain.wallet.events import BootEnded, MeterStarted, VpsReleased
from tests.domain.compute.lives import ACCOUNT, VPS, at, vps_in
from tests.domain.compute.test_outcomes import ADMITTED, kinds, wallet_after


def test_a_start_that_the_guest_let_fail_is_counted() -> None:
    vps = vps_in("launched")
    step = next_step(vps)
    assert step is not None

    decision = outcomes.failed(vps, wallet_after(ADMITTED), step, "no answer", at(183), by_guest=True)

    assert decision.events[0][1] == BootEnded(VPS, 1, at(3), at(183), "failed")


def test_a_start_that_the_host_let_fail_is_not() -> None:
    vps = vps_in("launched")
    step = next_step(vps)
    assert step is not None

    decision = outcomes.failed(vps, wallet_after(ADMITTED), step, "no host", at(183))

    assert kinds(decision)[0] is VpsReleased


@pytest.mark.parametrize(("waited_s", "counted"), [(30, False), (31, True)])
def test_a_login_that_came_late_is_counted_by_how_long_it_was_tried(waited_s: float, counted: bool) -> None:
    vps = vps_in("launched")
    step = next_step(vps)
    assert step is not None

    decision = outcomes.came_up(vps, wallet_after(ADMITTED), step, at(1_000), waited=seconds(waited_s))

    assert (BootEnded in kinds(decision)) == counted
    assert MeterStarted in kinds(decision)


def test_a_vps_that_is_deleted_while_it_boots_is_counted_for_as_long() -> None:
    decision = admission.delete_vps(vps_in("launched"), wallet_after(ADMITTED), ACCOUNT, at(60))

    assert decision.events[0][1] == BootEnded(VPS, 1, at(3), at(60), "abandoned")


def test_a_guest_that_is_not_on_yet_had_no_free_boot() -> None:
    decision = admission.delete_vps(vps_in("prepared"), wallet_after(ADMITTED), ACCOUNT, at(60))

    assert kinds(decision)[0] is VpsReleased


def test_a_guest_that_is_stopped_while_it_boots_has_no_grace() -> None:
    """Whoever ignores the power button would else run for the grace, free, at each start."""
    assert (step := next_step(vps_in("stopping"))) is not None
    assert step.row.grace_s > 0

    booting = admission.stop_vps(vps_in("starting"), wallet_after(ADMITTED), ACCOUNT, at(201))
    vps = vps_in("starting")
    for stream, event in booting.events:
        if stream.int == vps.vps_id.int:
            vps = evolved(vps, event)
    assert (step := next_step(vps)) is not None
    assert (step.name, step.row.grace_s) == ("halt", 0.0)


def evolved(vps: Vps, event: Event) -> Vps:
    after = evolve(vps, event)
    assert after is not None
    return after
