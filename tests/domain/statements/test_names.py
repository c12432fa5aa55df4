"""An issued statement tells names as they were: what has a name is named once and never renamed."""

import pytest

from domain.accounts.events import AccountRegistered
from domain.compute.events import VpsEvent, VpsRequested
from domain.events import Event
from domain.pricing import events as pricing
from domain.pricing.events import PlanDefined
from tests.test_event_unions import STREAMS, all_of, kinds


@pytest.mark.parametrize(
    ("stream", "field", "naming"),
    [
        (kinds(VpsRequested, VpsEvent), "name", VpsRequested),
        (all_of(pricing), "name", PlanDefined),
        (STREAMS["account"], "email", AccountRegistered),
    ],
)
def test_one_event_names_and_no_other_renames(stream: frozenset[type[Event]], field: str, naming: type[Event]) -> None:
    # With a second one, a statement has to ask for names as of the position that it was issued at.
    assert {kind for kind in stream if field in kind.__struct_fields__} == {naming}
