"""At every point of a life there is one next step or none, and every step but removal has an end."""

import pytest

from domain.compute.steps import DEADLINES_S, next_step
from tests.domain.compute.lives import LIVES, vps_in


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ("requested", "place"),
        ("placed", "prepare"),
        ("prepared", "launch"),
        ("launched", "login"),
        ("running", None),
        ("restarting", "reboot"),
        ("stopping", "halt"),
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


@pytest.mark.parametrize("point", sorted(set(LIVES) - {"deleting", "failed"}))
def test_a_passing_state_has_a_deadline(point: str) -> None:
    step = next_step(vps_in(point))

    assert step is None or step.deadline_s == DEADLINES_S[step.name]


@pytest.mark.parametrize("point", ["deleting", "failed"])
def test_a_removal_and_the_end_of_what_failed_are_tried_for_ever(point: str) -> None:
    step = next_step(vps_in(point))

    assert step is not None
    assert step.deadline_s is None
