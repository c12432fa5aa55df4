"""Events: the shape that everything recorded has in common, and the register of their stored names."""

from collections.abc import Iterator
from typing import Annotated, Literal, get_type_hints
from uuid import UUID

import msgspec

from domain.ids import AccountId, EventId

Personal = Annotated[str, msgspec.Meta(extra={"personal": True})]
"""Text that tells of a person: stored sealed under the key of the account that the event is about.

Only a field of type ``Personal``, ``Personal | None`` or ``Personal | Blob | None`` at the top level of an event or of
the metadata is sealed; what has more structure is put in as its JSON text. Of a ``Blob``, the text is kept elsewhere.
"""

ERASED = "[erased]"
"""What a sealed field reads as once the account's key is gone."""


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """A fact, in the past tense. Its tag is its stored name and version, and is never used for another shape.

    A stored event never changes shape: a changed one gets a new tag, and the old one an upcast.
    """


class Actor(msgspec.Struct, frozen=True):
    """Who acted: an account (or its token), an operator, a part of the service, or nobody known."""

    kind: Literal["account", "token", "operator", "service", "anonymous"]
    id: UUID | None = None
    part: str | None = None
    """Which part of the service, or which role of an operator."""


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is recorded of how an event came to be, beside the event itself."""

    id: EventId
    actor: Actor
    account_id: AccountId | None = None
    """Whose event this is: under this account's key the personal fields are sealed."""
    request_id: str | None = None
    address: Personal | None = None
    user_agent: Personal | None = None
    cause: EventId | None = None
    """The event that this one follows from."""


def stored_name(kind: type[Event]) -> str:
    """Return the stored name of an event, such as ``wallet.minutes-metered.v1``."""
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str), f"{kind.__name__} has no stored name"
    return tag


def all_events() -> dict[str, type[Event]]:
    """Return every event known so far by its stored name; contexts register theirs by being imported."""
    known: dict[str, type[Event]] = {}
    for kind in _descendants(Event):
        name = stored_name(kind)
        first = known.setdefault(name, kind)  # Not within the assert, which is left out where asserts are off.
        assert first is kind, f"two events are stored as {name}"
    return known


def personal_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names of the fields of an event or of the metadata that are stored sealed."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in kind.__struct_fields__ if _is_personal(hints[name]))


def _is_personal(hint: object) -> bool:
    return hint == Personal or any(part == Personal for part in getattr(hint, "__args__", ()))


def _descendants(kind: type[Event]) -> Iterator[type[Event]]:
    for child in kind.__subclasses__():
        yield child
        yield from _descendants(child)
