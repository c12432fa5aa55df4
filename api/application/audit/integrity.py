"""Checks of the envelopes: positions, versions, times and hashes of the events, whatever they say."""

from collections.abc import Sequence

from api.application.audit.findings import Check
from domain.evidence import Evidence
from domain.ids import StreamId
from domain.leaf_hash import leaf_hash_of
from domain.ports import Recorded


class IntegrityChecks:
    """Sees every event once, in order of position."""

    def __init__(self) -> None:
        self._position = 0
        self._recorded_at = 0
        self._versions: dict[StreamId, int] = {}
        self.positions = Check("positions are 1, 2, 3 … without a gap")
        self.versions = Check("the versions of every stream are 1, 2, 3 … without a gap")
        self.times = Check("recorded time never runs backwards along the positions")
        self.hashes = Check("every leaf hash is that of its event")
        self.guards = Check("the database refuses to change events")

    @property
    def checks(self) -> tuple[Check, ...]:
        """Return the checks that these are."""
        return self.positions, self.versions, self.times, self.hashes, self.guards

    def visit(self, batch: Sequence[Recorded]) -> None:
        """Look at the next events."""
        versions = self._versions
        for event in batch:
            position, stream = event.position, event.stream
            if position != self._position + 1:
                self.positions.fault(f"position {self._position} is followed by {position}")
            self._position = position
            if event.version != versions.get(stream, 0) + 1:
                self.versions.fault(
                    f"position {position}: version {event.version} of stream {stream}"
                    f" comes after version {versions.get(stream, 0)}"
                )
            versions[stream] = event.version
            if event.recorded_at < self._recorded_at:
                self.times.fault(f"position {position} was recorded before the one below it")
            self._recorded_at = event.recorded_at
            if leaf_hash_of(event) != event.leaf_hash:
                self.hashes.fault(f"position {position}: the event is not the one that was hashed")
        for check in (self.positions, self.versions, self.times, self.hashes):
            check.seen += len(batch)

    def finish(self, evidence: Evidence) -> None:
        """Compare with the heads that the store keeps."""
        if evidence.position != self._position:
            self.positions.fault(f"the last is {self._position}, but {evidence.position} were counted")
        if evidence.recorded_at < self._recorded_at:
            self.times.fault("the store's last time is before that of its last event")
        for stream in evidence.stream_heads.keys() | self._versions.keys():
            counted, last = evidence.stream_heads.get(stream), self._versions.get(stream)
            if counted != last:
                self.versions.fault(f"stream {stream}: its last version is {last}, but {counted} is kept as such")
        self.guards.seen += 1
        for guard in evidence.missing_guards:
            self.guards.fault(guard)
