"""What requests about snapshots take and tell."""

from typing import Annotated, Any
from uuid import UUID

import msgspec

from api.http.rendering import Time, optional_time
from domain.compute.snapshot import Snapshot, SnapshotState
from domain.time import to_rfc3339

EXAMPLE: dict[str, Any] = {
    "id": "01937b1e-5c00-7000-8000-000000000006",
    "name": "before-upgrade",
    "state": "ready",
    "disk_gb": 10,
    "created_at": "2026-11-23T17:00:00Z",
    "taken_at": "2026-11-23T17:00:00.312Z",
    "error": None,
}


class NewSnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot to be taken."""

    name: Annotated[str, msgspec.Meta(description="A label: `a-z`, `0-9`, `-` inside, at most 63; one a VPS.")]


class SnapshotResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The disk of a VPS as it was."""

    id: UUID
    name: str
    state: SnapshotState
    """``ready``: it can be restored; ``error``: it could not be taken, or not be removed."""
    disk_gb: int
    """What it counts as, GiB: as much as the disk had."""
    created_at: Time
    taken_at: Time | None
    error: str | None

    @classmethod
    def of(cls, snapshot: Snapshot) -> "SnapshotResponse":
        """Return a snapshot as it is told."""
        return cls(
            id=snapshot.snapshot_id,
            name=snapshot.name,
            state=snapshot.state,
            disk_gb=snapshot.disk_gb,
            created_at=to_rfc3339(snapshot.created_at),
            taken_at=optional_time(snapshot.taken_at),
            error=snapshot.error,
        )
