"""Each event has one stored name for ever, and tells which of its fields are personal."""

import re
from uuid import uuid4

import msgspec
import pytest

from domain import events
from domain.events import Event, Metadata, Personal, all_events, personal_fields, stored_name


class GuestGreeted(Event, frozen=True, tag="test.guest-greeted.v1"):
    name: Personal
    room: int
    remark: Personal | None = None
    kind: str = "plain"


def test_an_event_is_found_by_the_name_that_it_is_stored_under() -> None:
    assert all_events()["test.guest-greeted.v1"] is GuestGreeted
    assert stored_name(GuestGreeted) == "test.guest-greeted.v1"


def test_every_stored_name_tells_context_fact_and_version() -> None:
    names = [name for name in all_events() if not name.startswith("test.")]

    assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*\.v[1-9][0-9]*", name)] == []


def test_two_events_under_one_name_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = type("Twin", (msgspec.Struct,), {"__annotations__": {}}, tag="test.guest-greeted.v1")
    monkeypatch.setattr(events, "_descendants", lambda kind: [GuestGreeted, twin])

    with pytest.raises(AssertionError, match=r"stored as test\.guest-greeted\.v1"):
        all_events()


def test_personal_fields_are_known_by_their_type_also_where_they_may_be_missing() -> None:
    assert personal_fields(GuestGreeted) == ("name", "remark")
    assert personal_fields(Metadata) == ("address", "user_agent")


def test_an_event_cannot_be_changed() -> None:
    greeted = GuestGreeted(name=str(uuid4()), room=7)

    with pytest.raises(AttributeError):
        greeted.room = 8  # type: ignore[misc]  # That this is refused is the point.
