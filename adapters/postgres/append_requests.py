"""Append requests: appends made ready to be sent, many of them as one call of the append function."""

import asyncio
from collections.abc import Hashable, Iterable, Sequence

from psycopg.pq.abc import PGresult

from adapters.postgres.binary import (
    BYTEA,
    INT4,
    INT8,
    NULL,
    TEXT,
    UUID,
    array,
    bytes_array,
    bytes_item,
    int4_array,
    int4_item,
    int8_item,
    read_int,
    read_int4_array,
)
from adapters.postgres.prepared import Parameter, PreparedQuery
from domain.appends import check_claims, minute_spans, version_spans
from domain.ports import Append, Appended, Claim, ClaimTaken, MinuteTaken, VersionConflict
from domain.time import Instant

APPEND = PreparedQuery(
    "append",
    "SELECT last_position, recorded_at, refused_request, refused_kind, refused_item"
    " FROM ledger.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,"
    " $20, $21)",
)

_VERSION, _CLAIM, _MINUTE = range(3)
"""What a refusal is about, as the append function tells it."""

_NO_CLAIMS = [array(kind, b"", 0) for kind in (INT4, TEXT, BYTEA, UUID, BYTEA, INT8)]
_NO_RELEASES = [array(kind, b"", 0) for kind in (INT4, TEXT, BYTEA)]
_NO_MINUTES = [array(kind, b"", 0) for kind in (INT4, UUID, INT4, INT4)]

Refused = VersionConflict | ClaimTaken | MinuteTaken


class AppendRequest:
    """One append, checked and encoded, and the future of its answer."""

    __slots__ = ("answer", "append", "columns", "is_doubtful", "items", "minutes", "size_bytes", "touches")

    def __init__(self, append: Append) -> None:
        """Raises what can be refused without asking the database; see ``domain.appends``."""
        versions = version_spans(append.events)
        self.append = append
        self.minutes = minute_spans(append.minutes) if append.minutes else {}
        self.touches: set[Hashable] = {stream.bytes for stream in versions}
        """What no two requests of a batch may have in common."""
        if append.claims or append.releases or append.minutes:
            check_claims(append)
            self.touches.update((claim.scope, claim.key) for claim in append.claims)
            self.touches.update(append.releases)
            # A VPS as a number: a UUID's own hash, which is Python, would be asked for again and again.
            self.touches.update(vps.int for vps in self.minutes)
        self.is_doubtful = False
        """Whether it was sent and its answer lost, so that it may be recorded or not."""
        events = append.events
        self.columns = (
            b"".join([_UUID_LENGTH + event.stream.bytes for event in events]),
            b"".join([int4_item(event.version) for event in events]),
            b"".join([bytes_item(event.type.encode()) for event in events]),
            b"".join([bytes_item(event.payload.encode()) for event in events]),
            b"".join([bytes_item(event.metadata.encode()) for event in events]),
            b"".join([int8_item(event.happened_at) for event in events]),
        )
        self.items = len(events) + len(self.minutes)
        """How much is to be written for it, in rows."""
        self.size_bytes = sum(map(len, self.columns)) + sum(len(claim.kept or b"") for claim in append.claims)
        self.answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()

    def succeed(self, first_position: int, recorded_at: int) -> None:
        """Answer that it was recorded."""
        if not self.answer.done():
            last_position = first_position + len(self.append.events) - 1
            self.answer.set_result(Appended(first_position, last_position, Instant(recorded_at)))

    def fail(self, error: Exception) -> None:
        """Answer that it was not."""
        if not self.answer.done():
            self.answer.set_exception(error)


_UUID_LENGTH = b"\0\0\0\x10"
_FIRST_VERSION_IS_1 = b"\0"
"""``any_start``: false. Only the recorders of the library ``eventsourcing`` let a stream begin elsewhere."""
_EVENT_TYPES = (UUID, INT4, TEXT, TEXT, TEXT, INT8)


def parameters(batch: Sequence[AppendRequest]) -> list[Parameter]:
    """Return a batch as the parameters of ``APPEND``."""
    counts = [len(request.append.events) for request in batch]
    count = sum(counts)
    ordinals = b"".join([int4_item(ordinal) * events for ordinal, events in enumerate(counts)])
    columns = zip(_EVENT_TYPES, zip(*[request.columns for request in batch], strict=True), strict=True)
    return [
        _FIRST_VERSION_IS_1,
        array(INT4, ordinals, count),
        *[array(kind, b"".join(parts), count) for kind, parts in columns],
        *_claim_parameters(batch),
        *_release_parameters(batch),
        *_minute_parameters(batch),
    ]


def answers(batch: Sequence[AppendRequest], result: PGresult) -> list[tuple[AppendRequest, Refused]]:
    """Tell each recorded request of a batch, and return the refused ones with what each is to be told."""
    last_position, recorded_at = (read_int(result.get_value(0, column)) for column in (0, 1))
    refused = dict(_refusals(batch, result))
    recorded = [request for ordinal, request in enumerate(batch) if ordinal not in refused]
    position = last_position - sum(len(request.append.events) for request in recorded)
    for request in recorded:
        request.succeed(position + 1, recorded_at)
        position += len(request.append.events)
    return [(batch[ordinal], error) for ordinal, error in refused.items()]


def _refusals(batch: Sequence[AppendRequest], result: PGresult) -> Iterable[tuple[int, Refused]]:
    ordinals, kinds, items = (read_int4_array(result.get_value(0, column)) for column in (2, 3, 4))
    if not ordinals:
        return
    claims = [claim for _, claim in _claims(batch)]
    for ordinal, kind, item in reversed(list(zip(ordinals, kinds, items, strict=True))):
        # Reversed: of several reasons the first is told, and a version that moved on comes before the rest.
        if kind == _CLAIM:
            yield ordinal, ClaimTaken(claims[item].scope, claims[item].key)
        else:
            yield ordinal, VersionConflict() if kind == _VERSION else MinuteTaken()


def _claims(batch: Sequence[AppendRequest]) -> list[tuple[int, Claim]]:
    return [(ordinal, claim) for ordinal, request in enumerate(batch) for claim in request.append.claims]


def _claim_parameters(batch: Sequence[AppendRequest]) -> list[bytes]:
    rows = _claims(batch)
    if not rows:
        return _NO_CLAIMS
    claims = [claim for _, claim in rows]
    kept = [NULL if claim.kept is None else bytes_item(claim.kept) for claim in claims]
    expiries = [NULL if claim.expires_at is None else int8_item(claim.expires_at) for claim in claims]
    return [
        int4_array(ordinal for ordinal, _ in rows),
        bytes_array(TEXT, (claim.scope.encode() for claim in claims)),
        bytes_array(BYTEA, (claim.key for claim in claims)),
        bytes_array(UUID, (claim.holder.bytes for claim in claims)),
        array(BYTEA, b"".join(kept), len(kept)),
        array(INT8, b"".join(expiries), len(expiries)),
    ]


def _release_parameters(batch: Sequence[AppendRequest]) -> list[bytes]:
    rows = [(ordinal, scope, key) for ordinal, request in enumerate(batch) for scope, key in request.append.releases]
    if not rows:
        return _NO_RELEASES
    return [
        int4_array(ordinal for ordinal, _, _ in rows),
        bytes_array(TEXT, (scope.encode() for _, scope, _ in rows)),
        bytes_array(BYTEA, (key for _, _, key in rows)),
    ]


def _minute_parameters(batch: Sequence[AppendRequest]) -> list[bytes]:
    rows = [(ordinal, vps, span) for ordinal, request in enumerate(batch) for vps, span in request.minutes.items()]
    if not rows:
        return _NO_MINUTES
    return [
        int4_array(ordinal for ordinal, _, _ in rows),
        bytes_array(UUID, (vps.bytes for _, vps, _ in rows)),
        int4_array(span.first for _, _, span in rows),
        int4_array(span.last for _, _, span in rows),
    ]
