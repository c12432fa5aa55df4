"""The append function by itself: what it holds whatever a program sends it."""

import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from domain.leaf_hash import leaf_hash
from domain.time import HOUR

Row = tuple[Any, ...]

PARAMETERS = (
    "any_start::boolean event_request::integer[] event_stream::uuid[] event_version::integer[] event_type::text[]"
    " event_payload::text[] event_metadata::text[] event_happened_at::bigint[] claim_request::integer[]"
    " claim_scope::text[] claim_key::bytea[] claim_holder::uuid[] claim_kept::bytea[] claim_expires_at::bigint[]"
    " release_request::integer[] release_scope::text[] release_key::bytea[] minute_request::integer[]"
    " minute_vps::uuid[] minute_from::integer[] minute_to::integer[]"
)
TYPES = dict(parameter.split("::") for parameter in PARAMETERS.split())
ARGUMENTS = ", ".join(f"{name} => %({name})s::{kind}" for name, kind in TYPES.items())


def append(
    connection: psycopg.Connection,
    events: list[tuple[int, UUID, int]],
    claims: list[tuple[int, bytes]] = (),  # type: ignore[assignment]
    releases: list[tuple[int, bytes]] = (),  # type: ignore[assignment]
    minutes: list[tuple[int, UUID, int, int]] = (),  # type: ignore[assignment]
    *,
    any_start: bool = False,
) -> Row:
    """Call the function with requests counted from 0; return last position, refused requests and kinds."""
    arguments: dict[str, Any] = {name: [] for name in TYPES} | {"any_start": any_start}
    for request, stream, version in events:
        _add(arguments, "event", request=request, stream=stream, version=version, type="t", payload="{}")
        _add(arguments, "event", metadata="{}", happened_at=1)
    for request, key in claims:
        _add(arguments, "claim", request=request, scope="s", key=key, holder=uuid4(), kept=None, expires_at=None)
    for request, key in releases:
        _add(arguments, "release", request=request, scope="s", key=key)
    for request, vps, n_from, n_to in minutes:
        _add(arguments, "minute", **{"request": request, "vps": vps, "from": n_from, "to": n_to})
    row = connection.execute(
        f"SELECT last_position, refused_request, refused_kind FROM ledger.append({ARGUMENTS})".encode(), arguments
    ).fetchone()
    assert row is not None
    return row


def _add(arguments: dict[str, Any], kind: str, **values: object) -> None:
    for name, value in values.items():
        arguments[f"{kind}_{name}"].append(value)


@pytest.fixture
def connection(database_url: str) -> Any:
    """Give a connection of the service's role."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def positions(connection: psycopg.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT position FROM ledger.event ORDER BY position")]


def test_only_offenders_of_a_batch_are_refused_and_leave_no_gap(connection: psycopg.Connection) -> None:
    one, other, vps = uuid4(), uuid4(), uuid4()
    append(connection, [(0, one, 1)], [(0, b"taken")], minutes=[(0, vps, 1, 2)])
    row = append(
        connection,
        [(0, uuid4(), 1), (1, one, 1), (2, uuid4(), 1), (3, uuid4(), 1), (4, other, 1), (4, other, 2)],
        [(2, b"taken"), (4, b"free")],
        minutes=[(3, vps, 2, 2)],
    )
    assert row == (4, [1, 2, 3], [0, 1, 2])
    assert positions(connection) == [1, 2, 3, 4]


def test_a_used_minute_is_refused_though_the_version_is_right(connection: psycopg.Connection) -> None:
    wallet, vps = uuid4(), uuid4()
    append(connection, [(0, wallet, 1)], minutes=[(0, vps, 1, 3)])
    for n_from, n_to in ((1, 1), (3, 4), (5, 5), (4, 3)):
        assert append(connection, [(0, wallet, 2)], minutes=[(0, vps, n_from, n_to)]) == (1, [0], [2])
    assert append(connection, [(0, wallet, 2)], minutes=[(0, vps, 4, 4)]) == (2, None, None)


@pytest.mark.parametrize("versions", [(2,), (0,), (1, 3), (2, 3)])
def test_a_gap_in_a_stream_is_refused(connection: psycopg.Connection, versions: tuple[int, ...]) -> None:
    stream = uuid4()
    assert append(connection, [(0, stream, version) for version in versions])[1] == [0]
    append(connection, [(0, stream, 1)])
    assert append(connection, [(0, stream, version + 2) for version in versions if version != 0])[1] in ([0], None)
    found = [row[0] for row in connection.execute("SELECT version FROM ledger.event ORDER BY position")]
    assert found == list(range(1, len(found) + 1))


def test_a_stream_may_start_anywhere_only_where_that_is_asked_for(connection: psycopg.Connection) -> None:
    stream = uuid4()
    assert append(connection, [(0, stream, 5)])[1] == [0]
    assert append(connection, [(0, stream, 5)], any_start=True)[1] is None
    assert append(connection, [(0, stream, 7)], any_start=True)[1] == [0]
    assert append(connection, [(0, stream, 6)])[1] is None


@pytest.mark.parametrize("again", ["stream", "version", "claim", "minute"])
def test_two_requests_of_a_batch_may_not_touch_the_same_thing(connection: psycopg.Connection, again: str) -> None:
    stream, vps = uuid4(), uuid4()
    second = (1, stream, 2) if again == "stream" else (0, stream, 1) if again == "version" else (1, uuid4(), 1)
    claims = [(0, b"k"), (1, b"k")] if again == "claim" else []
    minutes = [(0, vps, 1, 1), (1, vps, 1, 1)] if again == "minute" else []
    try:
        refused = append(connection, [(0, stream, 1), second], claims, minutes=minutes)[1]
    except (psycopg.errors.CardinalityViolation, psycopg.errors.UniqueViolation):
        assert positions(connection) == []
    else:
        assert refused
        assert len(positions(connection)) <= 1


def test_an_aborted_append_leaves_no_gap(connection: psycopg.Connection) -> None:
    append(connection, [(0, uuid4(), 1)])
    with connection.transaction() as transaction:
        append(connection, [(0, uuid4(), 1), (0, uuid4(), 1)], [(0, b"claim")])
        raise psycopg.Rollback(transaction)
    assert append(connection, [(0, uuid4(), 1)], [(0, b"claim")]) == (2, None, None)
    assert positions(connection) == [1, 2]


def test_appends_of_two_connections_wait_for_each_other(connection: psycopg.Connection, database_url: str) -> None:
    stream = uuid4()
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SET lock_timeout = '200ms'")
        with connection.transaction():
            append(connection, [(0, stream, 1)])
            with pytest.raises(psycopg.errors.LockNotAvailable):
                append(other, [(0, uuid4(), 1)])
        assert append(other, [(0, stream, 1)])[1] == [0], "it sees what was committed while it waited"
        assert append(other, [(0, uuid4(), 1)])[0] == 2


def test_recorded_time_stands_still_while_the_clock_is_behind(connection: psycopg.Connection, owner_url: str) -> None:
    ahead = time.time_ns() // 1000 + HOUR
    with psycopg.connect(owner_url, autocommit=True) as owner:
        owner.execute("UPDATE ledger.head SET recorded_at = %s", [ahead])
    append(connection, [(0, uuid4(), 1)])
    append(connection, [(0, uuid4(), 1)])
    rows = connection.execute("SELECT recorded_at FROM ledger.event UNION ALL SELECT recorded_at FROM ledger.head")
    assert rows.fetchall() == [(ahead,)] * 3


def test_the_hash_is_that_of_the_envelope(connection: psycopg.Connection) -> None:
    append(connection, [(0, uuid4(), 1), (1, uuid4(), 1)])
    rows = connection.execute(
        "SELECT leaf_hash, position, stream, version, type, happened_at, recorded_at, metadata, payload"
        " FROM ledger.event"
    ).fetchall()
    assert len(rows) == 2
    for stored, *envelope in rows:
        assert stored == leaf_hash(*envelope)
