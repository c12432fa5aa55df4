"""Lost answers: what became of appends whose answer was lost with the connection."""

from collections.abc import Sequence

from psycopg.pq.abc import PGresult

from adapters.postgres.append_requests import AppendRequest
from adapters.postgres.binary import BYTEA, TEXT, UUID, bytes_array, int4_array, read_int
from adapters.postgres.prepared import PreparedConnection, PreparedQuery
from domain.ports import Claim, NewEvent

_FIRST_EVENTS = PreparedQuery(
    "recorded_first_events",
    "SELECT w.ordinal, e.type, e.payload, e.metadata, e.happened_at, e.position, e.recorded_at"
    " FROM unnest($1::uuid[], $2::integer[]) WITH ORDINALITY AS w (stream, version, ordinal)"
    " JOIN ledger.event AS e ON e.stream = w.stream AND e.version = w.version",
)
_CLAIMS = PreparedQuery(
    "recorded_claims",
    "SELECT c.scope, c.key, c.holder, c.kept, c.expires_at, h.position, h.recorded_at"
    " FROM unnest($1::text[], $2::bytea[]) AS w (scope, key)"
    " JOIN ledger.claim AS c ON c.scope = w.scope AND c.key = w.key, ledger.head AS h",
)


async def answer_recorded(connection: PreparedConnection, doubtful: Sequence[AppendRequest]) -> list[AppendRequest]:
    """Tell those requests that turn out to be recorded, and return the others, which may be tried again.

    An event is known again by all that it was sent with; its metadata carries an id that no other has.
    A request that was still on its way may be recorded after this: then trying it again is refused, since
    its versions are taken, and it is to be looked up once more.
    """
    if not doubtful:
        return []
    with_events = [request for request in doubtful if request.append.events]
    others = [request for request in doubtful if not request.append.events]
    return await _answer_by_events(connection, with_events) + await _answer_by_claims(connection, others)


async def _answer_by_events(connection: PreparedConnection, requests: list[AppendRequest]) -> list[AppendRequest]:
    first_events = [request.append.events[0] for request in requests]
    result = await connection.run(
        _FIRST_EVENTS,
        [
            bytes_array(UUID, (event.stream.bytes for event in first_events)),
            int4_array(event.version for event in first_events),
        ],
    )
    found = {read_int(result.get_value(row, 0)) - 1: row for row in range(result.ntuples)}
    unrecorded = []
    for ordinal, request in enumerate(requests):
        row = found.get(ordinal)
        if row is not None and _is_same_event(first_events[ordinal], result, row):
            request.succeed(read_int(result.get_value(row, 5)), read_int(result.get_value(row, 6)))
        else:
            unrecorded.append(request)
    return unrecorded


async def _answer_by_claims(connection: PreparedConnection, requests: list[AppendRequest]) -> list[AppendRequest]:
    """Requests without events: recorded if all their claims are there as they were sent.

    One of releases alone can simply be done again.
    """
    claims = [claim for request in requests for claim in request.append.claims]
    if not claims:
        return requests
    result = await connection.run(
        _CLAIMS,
        [
            bytes_array(TEXT, (claim.scope.encode() for claim in claims)),
            bytes_array(BYTEA, (claim.key for claim in claims)),
        ],
    )
    found = {tuple(result.get_value(row, column) for column in range(5)): row for row in range(result.ntuples)}
    unrecorded = []
    for request in requests:
        rows = [found.get(_as_stored(claim)) for claim in request.append.claims]
        if rows and rows[0] is not None and None not in rows:
            request.succeed(read_int(result.get_value(rows[0], 5)) + 1, read_int(result.get_value(rows[0], 6)))
        else:
            unrecorded.append(request)
    return unrecorded


def _is_same_event(event: NewEvent, result: PGresult, row: int) -> bool:
    stored = tuple(result.get_value(row, column) for column in (1, 2, 3))
    sent = (event.type.encode(), event.payload.encode(), event.metadata.encode())
    return stored == sent and read_int(result.get_value(row, 4)) == event.happened_at


def _as_stored(claim: Claim) -> tuple[bytes | None, ...]:
    expires_at = None if claim.expires_at is None else claim.expires_at.to_bytes(8, "big", signed=True)
    return claim.scope.encode(), claim.key, claim.holder.bytes, claim.kept, expires_at
