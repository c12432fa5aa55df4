"""The page of the steps, made from their table: ``python -m api.workers.steps.reference > docs/reference/steps.md``."""

import sys
from collections.abc import Iterable

from domain.compute.steps import CHANGES, STEPS, StepRow
from domain.pauses import Pauses

_HEAD = """# Steps

Made from the table in `domain/compute/steps.py` by `python -m api.workers.steps.reference`; do not edit.
[The life of a VPS](../explanation/steps.md) tells what it means.

Boxes are stages: how far a VPS has come. A step leads on to the next; what comes from outside is in brackets. A delete
is accepted in every box, and leads to `deleting`.

"""
_COLUMNS = (
    *("stage", "step", "does", "leads to", "recorded", "tried for", "pauses", "grace"),
    *("given up, leads to", "what is left then"),
)


def reference() -> str:
    """Return the page."""
    return "".join((_HEAD, _diagram(), "\n", _cells(_COLUMNS), _cells(["---"] * len(_COLUMNS)), *map(_line, STEPS)))


def _diagram() -> str:
    steps = [f"    {row.stage} --> {row.leads_to}: {row.name}" for row in STEPS]
    changes = [f"    {stage} --> {row.leads_to}: ({row.cause})" for row in CHANGES for stage in row.stages]
    given_up = sorted({f"    {row.stage} --> {row.given_up}: given up" for row in STEPS if row.given_up})
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> placed: create", *steps, *changes, *given_up]
    return "\n".join([*lines, "    gone --> [*]", "```", ""])


def _line(row: StepRow) -> str:
    tried = "for ever" if row.deadline_s is None else f"{row.deadline_s:g} s"
    cells = (
        *(f"`{row.stage}`", row.name, row.does, f"`{row.leads_to}`", f"`{row.recorded.__struct_config__.tag}`"),
        *(tried, _told(row.pauses), f"{row.grace_s:g} s" if row.grace_s else ""),
        *(f"`{row.given_up}`" if row.given_up else "never", row.undo),
    )
    return _cells(cells)


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _told(pauses: Pauses) -> str:
    return f"{pauses.first_s:g} to {pauses.longest_s:g} s"


if __name__ == "__main__":
    sys.stdout.write(reference())
