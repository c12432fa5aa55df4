"""Recorders: the event store behind the interfaces of the eventsourcing library.

They write through the same group writer as the service does, into the same table, so the library's own
suites are run on what we really use.
"""

import base64
import time
from collections.abc import Coroutine, Sequence
from threading import Thread
from typing import Any, TypeVar
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from psycopg.pq.abc import PGresult

from adapters.postgres.binary import TEXT, bytes_array, int8, read_int
from adapters.postgres.ledger_thread import LedgerThread
from adapters.postgres.prepared import ConnectionLost, Parameter, Statement
from domain.ids import StreamId
from domain.ports import Append, NewEvent, StoreFailed, VersionConflict
from domain.time import Instant

WAKES_EVERY_S = 0.2
"""How often a subscription looks whether it was stopped."""
_BIGGEST = 2**31 - 1
_BASE64 = "base64:"

_OF_STREAM = "SELECT version, type, payload FROM ledger.event WHERE stream = $1 AND version > $2 AND version <= $3"
_SELECT_EVENTS = Statement("select_events", f"{_OF_STREAM} ORDER BY version LIMIT $4")
_SELECT_EVENTS_BACKWARDS = Statement("select_events_backwards", f"{_OF_STREAM} ORDER BY version DESC LIMIT $4")
_SELECT_NOTIFICATIONS = Statement(
    "select_notifications",
    "SELECT position, stream, version, type, payload FROM ledger.event WHERE position >= $1 AND position <= $2"
    " AND (cardinality($3::text[]) = 0 OR type = ANY ($3)) ORDER BY position LIMIT $4",
)
_INSERT_TRACKING = Statement(
    "insert_tracking",
    "INSERT INTO ledger.tracking AS t (application_name, position) VALUES ($1, $2)"
    " ON CONFLICT (application_name) DO UPDATE SET position = excluded.position"
    " WHERE t.position < excluded.position RETURNING position",
)
_MAX_TRACKING = Statement("max_tracking", "SELECT position FROM ledger.tracking WHERE application_name = $1")

T = TypeVar("T")


class LedgerAggregateRecorder(AggregateRecorder):
    """Records and reads the events of aggregates; a state that is no text is kept as base64."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002
        """Record all of the events or none; raises IntegrityError where a version is taken."""
        self._insert(stored_events)
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of one aggregate, between two versions."""
        stream = _stream(originator_id)
        rows = self._read(
            _SELECT_EVENTS_BACKWARDS if desc else _SELECT_EVENTS,
            [
                stream.bytes,
                (-1 if gt is None else gt).to_bytes(4, "big", signed=True),
                (_BIGGEST if lte is None else lte).to_bytes(4, "big", signed=True),
                int8(_BIGGEST if limit is None else limit),
            ],
        )
        return [StoredEvent(stream, *_version_topic_state(rows, row, 0)) for row in range(rows.ntuples)]

    def _insert(self, stored_events: Sequence[StoredEvent]) -> Sequence[int]:
        if not stored_events:
            return []
        now = Instant(time.time_ns() // 1000)
        events = tuple(
            NewEvent(
                _stream(stored.originator_id),
                stored.originator_version,
                stored.topic,
                _as_text(stored.state),
                f'{{"id":"{uuid4()}"}}',
                now,
            )
            for stored in stored_events
        )
        appended = _run(self._ledger, self._ledger.writer.append(Append(events)))
        return range(appended.first_position, appended.last_position + 1)

    def _read(self, statement: Statement, parameters: Sequence[Parameter]) -> PGresult:
        return _run(self._ledger, self._ledger.pool.run(statement, parameters))


class LedgerApplicationRecorder(LedgerAggregateRecorder, ApplicationRecorder):
    """Also gives all events in order of position, which the library calls notifications."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:  # noqa: ARG002
        """Record all of the events or none, and return their positions; raises IntegrityError."""
        return list(self._insert(stored_events))

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
        first = 0 if start is None else start if inclusive_of_start else start + 1
        rows = self._read(
            _SELECT_NOTIFICATIONS,
            [
                int8(first),
                int8(2**63 - 1 if stop is None else stop),
                bytes_array(TEXT, (topic.encode() for topic in topics)),
                int8(limit),
            ],
        )
        return [
            Notification(
                UUID(bytes=rows.get_value(row, 1)),
                *_version_topic_state(rows, row, 2),
                id=read_int(rows.get_value(row, 0)),
            )
            for row in range(rows.ntuples)
        ]

    def max_notification_id(self) -> int | None:
        """Return the last position, None in an empty store."""
        return _run(self._ledger, self._ledger.watch.head()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "LedgerSubscription":
        """Return an iterator over events past a position, which waits for more at the end."""
        return LedgerSubscription(self, gt, topics)

    def wait_past(self, position: int, timeout_s: float) -> int:
        """Wait until the head is past ``position`` or the time is over; return the head."""
        return _run(self._ledger, self._ledger.watch.wait_past(position, timeout_s))


class LedgerSubscription(ListenNotifySubscription[LedgerApplicationRecorder]):
    """Follows the feed; a thread wakes it whenever the head has moved."""

    def __init__(self, recorder: LedgerApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._waking = Thread(target=self._wake, daemon=True)
        self._waking.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """Stop, and wait for the threads to end."""
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._waking.join()

    def _wake(self) -> None:
        seen = 0
        while not self._has_been_stopped:
            try:
                head = self._recorder.wait_past(seen, WAKES_EVERY_S)
            except OperationalError as error:
                self._thread_error = self._thread_error or error
                self.stop()
                return
            if head > seen:
                seen = head
                self._has_been_notified.set()


class LedgerTrackingRecorder(TrackingRecorder):
    """Keeps how far followers have come, each by its name."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move a follower on; raises IntegrityError unless that is past where it is."""
        moved = _run(
            self._ledger,
            self._ledger.pool.run_once(
                _INSERT_TRACKING, [tracking.application_name.encode(), int8(tracking.notification_id)]
            ),
        )
        if not moved.ntuples:
            raise IntegrityError(f"{tracking.application_name} is past {tracking.notification_id} already")

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return how far a follower has come, None if it has not begun."""
        rows = _run(self._ledger, self._ledger.pool.run(_MAX_TRACKING, [application_name.encode()]))
        return read_int(rows.get_value(0, 0)) if rows.ntuples else None


def _run(ledger: LedgerThread, work: Coroutine[Any, Any, T]) -> T:
    try:
        return ledger.run(work)
    except VersionConflict as conflict:
        raise IntegrityError("the version is taken") from conflict
    except (ConnectionLost, StoreFailed) as lost:
        raise OperationalError(str(lost)) from lost


def _stream(originator_id: UUID | str) -> StreamId:
    return StreamId(originator_id if isinstance(originator_id, UUID) else UUID(originator_id))


def _version_topic_state(rows: PGresult, row: int, column: int) -> tuple[int, str, bytes]:
    topic = (rows.get_value(row, column + 1) or b"").decode()
    return read_int(rows.get_value(row, column)), topic, _as_state(rows.get_value(row, column + 2) or b"")


def _as_text(state: bytes) -> str:
    try:
        text = state.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or text.startswith(_BASE64):
        return _BASE64 + base64.b64encode(state).decode()
    return text


def _as_state(payload: bytes) -> bytes:
    if payload.startswith(_BASE64.encode()):
        return base64.b64decode(payload[len(_BASE64) :])
    return payload
