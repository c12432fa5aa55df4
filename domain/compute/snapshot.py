"""A snapshot: a VPS's disk as it was at one instant, named by its owner, kept until it or its VPS is deleted."""

from typing import Literal

import msgspec

from domain.compute import events as recorded
from domain.ids import SnapshotId
from domain.time import Instant

SnapshotState = Literal["creating", "ready", "error", "deleting", "left"]
"""``left``: it could not be removed, and its owner has given its name to another; it is removed with the next one."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the events of its VPS tell of a snapshot."""

    snapshot_id: SnapshotId
    name: str
    disk_gb: int
    """What it may keep of the host's disk, GiB: as much as the disk was large."""
    created_at: Instant
    state: SnapshotState = "creating"
    taken_at: Instant | None = None
    error: str | None = None

    @property
    def gone(self) -> bool:
        """Return whether it does not exist for its owner any more."""
        return self.state in ("deleting", "left")


def evolve(snapshots: tuple[Snapshot, ...], event: recorded.SnapshotEvent) -> tuple[Snapshot, ...]:
    """Return the snapshots of a VPS, oldest first, after an event of one of them."""
    match event:
        case recorded.SnapshotRequested():
            asked = Snapshot(snapshot_id=event.snapshot_id, name=event.name, disk_gb=event.disk_gb, created_at=event.at)
            return (*snapshots, asked)
        case recorded.SnapshotTaken():
            return _changed(snapshots, event.snapshot_id, state="ready", taken_at=event.at)
        case recorded.SnapshotFailed():
            # Back beside one of its own name, neither could be told from the other.
            state = "left" if _has_lost_its_name(snapshots, event.snapshot_id) else "error"
            return _changed(snapshots, event.snapshot_id, state=state, error=event.error)
        case recorded.SnapshotDeleteRequested():
            again = (one.snapshot_id for one in snapshots if one.state == "left")
            for snapshot_id in (event.snapshot_id, *again):
                snapshots = _changed(snapshots, snapshot_id, state="deleting", error=None)
            return snapshots
        case recorded.SnapshotDeleted():
            return tuple(one for one in snapshots if one.snapshot_id != event.snapshot_id)
        case _:
            return snapshots


def _has_lost_its_name(snapshots: tuple[Snapshot, ...], snapshot_id: SnapshotId) -> bool:
    """Return whether the owner of a snapshot has deleted it and given its name to another."""
    name = next((one.name for one in snapshots if one.snapshot_id == snapshot_id and one.gone), None)
    return any(one.name == name for one in snapshots if not one.gone)


def _changed(snapshots: tuple[Snapshot, ...], snapshot_id: SnapshotId, **fields: object) -> tuple[Snapshot, ...]:
    replace = msgspec.structs.replace
    return tuple(replace(one, **fields) if one.snapshot_id == snapshot_id else one for one in snapshots)
