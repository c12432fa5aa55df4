"""An issued statement tells names as they were: what can be renamed is asked for as of the end of its month."""

import pytest

from domain.accounts.events import AccountRegistered
from domain.compute.events import SnapshotEvent, VpsEvent, VpsRenamed, VpsRequested
from domain.events import Event
from domain.pricing import events as pricing
from domain.pricing.events import PlanDefined
from tests.test_event_unions import STREAMS, all_of, kinds


@pytest.mark.parametrize(
    ("stream", "field", "naming"),
    [
        # ``StatementSource.names`` asks for the last one of a month.
        (kinds(VpsRequested, VpsEvent) - kinds(SnapshotEvent), "name", {VpsRequested, VpsRenamed}),
        (all_of(pricing), "name", {PlanDefined}),
        (STREAMS["account"], "email", {AccountRegistered}),
    ],
)
def test_no_event_renames_that_statements_do_not_know_of(
    stream: frozenset[type[Event]], field: str, naming: set[type[Event]]
) -> None:
    assert {kind for kind in stream if field in kind.__struct_fields__} == naming
