"""What every event store checks of an append before it looks at anything recorded."""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from domain.ports import Append, ClaimTaken, MinuteClaim, MinuteTaken, NewEvent, VersionConflict


class Span(msgspec.Struct):
    """What an append adds to one stream, or uses of one VPS: from ``first`` to ``last``, both counted."""

    first: int
    last: int


def version_spans(events: Iterable[NewEvent]) -> dict[UUID, Span]:
    """Return which versions are added to each stream.

    Raises VersionConflict where the versions of one stream do not follow each other, and ValueError for
    text that no store can keep.
    """
    spans: dict[UUID, Span] = {}
    for event in events:
        check_text(event.type, event.payload, event.metadata)
        span = spans.setdefault(event.stream, Span(event.version, event.version - 1))
        if event.version != span.last + 1:
            raise VersionConflict
        span.last = event.version
    return spans


def minute_spans(minutes: Iterable[MinuteClaim]) -> dict[UUID, Span]:
    """Return which minutes of each VPS are used; several claims on one VPS count as one where they meet.

    Raises MinuteTaken where they do not, or where one is empty.
    """
    spans: dict[UUID, Span] = {}
    for minute in minutes:
        span = spans.setdefault(minute.vps_id, Span(minute.n_from, minute.n_from - 1))
        if minute.n_from != span.last + 1 or minute.n_to < minute.n_from:
            raise MinuteTaken
        span.last = minute.n_to
    return spans


def check_claims(append: Append) -> None:
    """Raise ClaimTaken where an append wants one claim twice, ValueError for a scope that cannot be kept."""
    seen: set[tuple[str, bytes]] = set()
    for claim in append.claims:
        check_text(claim.scope)
        if (claim.scope, claim.key) in seen:
            raise ClaimTaken(claim.scope, claim.key)
        seen.add((claim.scope, claim.key))


def check_text(*texts: str) -> None:
    """Raise ValueError for text that is no UTF-8, or has a NUL character, which PostgreSQL cannot keep.

    ``\\u0000`` as JSON writes it is no NUL character.
    """
    for text in texts:
        if "\0" in text:
            raise ValueError("a NUL character cannot be recorded; JSON writes it as \\u0000")
        if not text.isascii():
            text.encode()
