"""Recorders: the tables of the ledger behind the interfaces of the library, on connections of the library's own.

Reading needs SELECT on ``ledger.event`` and nothing else. What is written goes through ``ledger.append``, as the
service's own events do, only without waiting for others to come along.
"""

import base64
import time
from collections.abc import Sequence
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    InterfaceError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.utils import retry
from psycopg.rows import tuple_row

POLL_EVERY_S = 0.2
"""A notice only wakes and may be lost; so a subscription looks now and then, and whether it was stopped."""
TRIES_MAX, PAUSE_S = 10, 0.2
"""Of a read whose connection was lost."""

_BASE64 = "base64:"
_BIGGEST = 2**31 - 1

_EVENTS = """
    SELECT version, type, payload FROM ledger.event
    WHERE stream = %(stream)s AND version > %(after)s AND version <= %(until)s
"""
_FORWARDS, _BACKWARDS = " ORDER BY version LIMIT %(limit)s", " ORDER BY version DESC LIMIT %(limit)s"
_NOTIFICATIONS = """
    SELECT position, stream, version, type, payload FROM ledger.event
    WHERE position >= %(first)s AND position <= %(last)s AND (%(topics)s::text[] = '{}' OR type = ANY (%(topics)s))
    ORDER BY position LIMIT %(limit)s
"""
_LAST_POSITION = "SELECT max(position) FROM ledger.event"
# any_start: the library lets a stream begin with any version.
_APPEND = """
    SELECT last_position, refused_request FROM ledger.append(
        any_start => true,
        event_request => array_fill(0, ARRAY[cardinality(%(streams)s::uuid[])]),
        event_stream => %(streams)s::uuid[], event_version => %(versions)s::integer[],
        event_type => %(types)s::text[], event_payload => %(payloads)s::text[],
        event_metadata => %(metadata)s::text[], event_happened_at => %(happened_at)s::bigint[],
        claim_request => '{}', claim_scope => '{}', claim_key => '{}', claim_holder => '{}',
        claim_kept => '{}', claim_expires_at => '{}',
        release_request => '{}', release_scope => '{}', release_key => '{}',
        minute_request => '{}', minute_vps => '{}', minute_from => '{}', minute_to => '{}'
    )
"""

_read = retry((InterfaceError, OperationalError), max_attempts=TRIES_MAX, wait=PAUSE_S)


class LedgerAggregateRecorder(AggregateRecorder):
    """Records and reads the events of streams. Raises the library's PersistenceErrors."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002
        """Record all of the events or none; raises IntegrityError where a version is taken."""
        self._insert(stored_events)
        return None

    @_read
    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of one stream, between two versions."""
        stream = _stream(originator_id)
        bounds = {"after": -1 if gt is None else gt, "until": _BIGGEST if lte is None else lte, "limit": limit}
        rows = self._rows(_EVENTS + (_BACKWARDS if desc else _FORWARDS), {"stream": stream} | bounds)
        return [StoredEvent(stream, version, topic, _as_state(payload)) for version, topic, payload in rows]

    def _insert(self, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        if not stored_events:
            return []
        columns = {
            "streams": [_stream(stored.originator_id) for stored in stored_events],
            "versions": [stored.originator_version for stored in stored_events],
            "types": [stored.topic for stored in stored_events],
            "payloads": [_as_text(stored.state) for stored in stored_events],
            "metadata": [f'{{"id":"{uuid4()}"}}' for _ in stored_events],
            "happened_at": [time.time_ns() // 1000] * len(stored_events),
        }
        # Not tried again: where the answer is lost, it may be recorded.
        [(last_position, refused)] = self._rows(_APPEND, columns)
        if refused:
            raise IntegrityError("the version is taken")
        return range(last_position - len(stored_events) + 1, last_position + 1)

    def _rows(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self.datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()


class LedgerApplicationRecorder(LedgerAggregateRecorder, ApplicationRecorder):
    """Also gives all events in order of position, which the library calls notifications."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002
        """Record all of the events or none, and return their positions; raises IntegrityError."""
        return list(self._insert(stored_events))

    @_read
    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events between two positions, those of certain topics if any are named."""
        bounds = {
            "first": 0 if start is None else start if inclusive_of_start else start + 1,
            "last": 2**63 - 1 if stop is None else stop,
        }
        rows = self._rows(_NOTIFICATIONS, bounds | {"topics": list(topics), "limit": limit})
        return [
            Notification(stream, version, topic, _as_state(payload), id=position)
            for position, stream, version, topic, payload in rows
        ]

    @_read
    def max_notification_id(self) -> int | None:
        """Return the last position, None in an empty ledger."""
        [(position,)] = self._rows(_LAST_POSITION, {})
        return None if position is None else int(position)

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LedgerSubscription":
        """Return an iterator over events past a position, which waits for more at the end."""
        return LedgerSubscription(self, gt, topics)


class LedgerSubscription(ListenNotifySubscription[LedgerApplicationRecorder]):
    """Follows the ledger; a thread listens for what was recorded, on a connection of its own."""

    def __init__(self, recorder: LedgerApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._listening = Thread(target=self._listen, name="ledger subscription")
        self._listening.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """Stop, and wait for the threads to end."""
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listening.join()

    def _listen(self) -> None:
        try:
            with self._recorder.datastore.get_connection() as connection:
                connection.execute("LISTEN ledger_head")
                while not self._has_been_stopped:
                    for _ in connection.notifies(timeout=POLL_EVERY_S, stop_after=1):
                        pass
                    self._has_been_notified.set()
                connection.execute("UNLISTEN ledger_head")
        except Exception as error:  # noqa: BLE001 — raised by the iterator.
            self._thread_error = self._thread_error or error
            self.stop()


def _stream(originator_id: UUID | str) -> UUID:
    return originator_id if isinstance(originator_id, UUID) else UUID(originator_id)


def _as_text(state: bytes) -> str:
    """Return a state as text; one that is no text is kept as base64."""
    try:
        text = state.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or text.startswith(_BASE64):
        return _BASE64 + base64.b64encode(state).decode()
    return text


def _as_state(payload: str) -> bytes:
    if payload.startswith(_BASE64):
        return base64.b64decode(payload[len(_BASE64) :])
    return payload.encode()
