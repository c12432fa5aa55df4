"""The table of steps as a test wants it: with other deadlines and pauses."""

from typing import Any

import msgspec
import pytest

from domain.compute import steps
from domain.compute.steps import StepName
from domain.pauses import Pauses

SHORT = Pauses(0.01, 0.01)


def change_steps(monkeypatch: pytest.MonkeyPatch, *names: StepName, **changes: Any) -> None:
    """Have the rows of these steps, or of all, changed for one test; what is tried for ever still is."""

    def changed(row: steps.StepRow) -> steps.StepRow:
        if names and row.name not in names:
            return row
        fields = {name: value for name, value in changes.items() if name != "deadline_s" or row.deadline_s is not None}
        return msgspec.structs.replace(row, **fields)

    monkeypatch.setattr(steps, "STEPS", tuple(map(changed, steps.STEPS)))
