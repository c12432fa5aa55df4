"""A read model: tables that answer one kind of question, and the fold that keeps them true."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
import psycopg

from domain import codec
from domain.events import Event, Metadata
from domain.ids import EventId
from domain.ports import Recorded

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
"""A connection whose search path is the schema that the read models' tables are in."""


class Entry(msgspec.Struct, frozen=True):
    """An event as a read model is given it: what is personal in it stays sealed."""

    recorded: Recorded
    event: Event

    @property
    def metadata(self) -> Metadata:
        """Return how the event came to be, personal fields still sealed."""
        return codec.decode_metadata(self.recorded)

    @property
    def event_id(self) -> EventId:
        """Return the id of the event."""
        return codec.decode_event_id(self.recorded)


class ReadModel(msgspec.Struct, frozen=True):
    """What a module of this room offers to the runner. It can be dropped and rebuilt from the events."""

    name: str
    tables: tuple[str, ...]
    sql: str
    """Creates the tables and their indexes by bare names; changing it asks for a rebuild."""
    events: tuple[type[Event], ...]
    """The kinds of events that it folds; it is given no others."""
    apply: Callable[[Connection, Sequence[Entry]], Awaitable[None]]
    """Folds a batch into the tables, inside the transaction that moves the position."""
    keeps: tuple[type[msgspec.Struct], ...] = ()
    """The structs that its tables keep as JSON: other fields in them ask for a rebuild."""
    fold_version: int = 1
    """Raised when the same events come to other rows than before, which asks for a rebuild too."""

    @property
    def stored_names(self) -> frozenset[str]:
        """Return the stored names of the events that it folds, those of older versions included."""
        return frozenset().union(*map(codec.names_read_as, self.events))

    @property
    def shape(self) -> str:
        """Return what has to be equal for its tables to be used as they are."""
        fields = [f"{kept.__name__}({', '.join(kept.__struct_fields__)})" for kept in self.keeps]
        return " ".join([f"fold {self.fold_version}:", *self.sql.split(), *fields])


def columns_of(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Return rows turned into columns, as ``unnest`` takes them. There must be at least one row."""
    return [list(column) for column in zip(*rows, strict=True)]
