"""Each step of the table has all that belongs to it: what it does, where a test kills it, its line in the docs."""

from pathlib import Path
from typing import get_args

from api.application.fail_points import POINTS
from api.workers.steps.reference import reference
from api.workers.steps.runner import TAKE
from domain.compute.steps import STEPS, StepName

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "steps.md"


def test_the_page_of_the_steps_is_made_from_their_table() -> None:
    assert PAGE.read_text() == reference(), "run python -m api.workers.steps.reference"


def test_every_step_is_in_the_table_and_is_taken() -> None:
    assert {row.name for row in STEPS} == set(get_args(StepName)) == set(TAKE)


def test_a_test_can_kill_every_step() -> None:
    assert set(get_args(StepName)) <= set(POINTS)
