"""Deciding: how a stream folds into a state, and what a decision asks to have recorded."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from domain.blobs import KeptBlob
from domain.events import Event
from domain.ids import StreamId
from domain.ports import Claim

S = TypeVar("S")


class Fold(msgspec.Struct, Generic[S], frozen=True, eq=False):
    """How the events of one kind of stream become a state. Folds are compared by identity."""

    initial: S
    evolve: Callable[[S, Event], S]
    """Believes every event; an event that does not concern it changes nothing."""
    snapshot: type[S] | None = None
    """The type of the state where it is worth keeping snapshots; it must hold nothing personal."""
    snapshot_version: int = 1
    """Counted up whenever ``evolve`` comes to another state from the same events: older ones are dropped."""
    has_ended: Callable[[S], bool] | None = None
    """Tells of a state that hardly anything follows, such as a finished job: it is not kept in memory."""


class AggregateRef(msgspec.Struct, Generic[S], frozen=True, eq=False):
    """One stream, seen as the state that its events fold into."""

    stream: StreamId
    fold: Fold[S]


class Decision(msgspec.Struct, frozen=True):
    """What is to be recorded, wholly or not at all. No events: nothing is, and that is an answer too."""

    events: tuple[tuple[StreamId, Event], ...] = ()
    claims: tuple[Claim, ...] = ()
    releases: tuple[tuple[str, bytes], ...] = ()
    blobs: tuple[KeptBlob, ...] = ()
    """Texts that the events tell of: kept before the events are recorded."""
    result: object = None
    """What whoever asked for the decision is to know of it beside its events; never recorded."""


NOTHING = Decision()


def recorded_in(stream: StreamId, *events: Event) -> Decision:
    """Return the decision to record these events in one stream."""
    return Decision(events=tuple((stream, event) for event in events))
