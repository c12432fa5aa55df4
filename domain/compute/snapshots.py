"""What an owner asks of a VPS's snapshots, and what comes of it: in one decision over the VPS, its wallet and its host.

A snapshot counts as much disk as its VPS has, against the account's limit and on its host: more it can never keep,
however often the disk is written over. So nobody fills a host's disk beyond what is promised of it.
"""

from collections.abc import Iterable

import msgspec

from domain.compute import capacity
from domain.compute import events as recorded
from domain.compute import host as hosts
from domain.compute import vps as life
from domain.compute.admission import both, next_start
from domain.compute.capacity import Reservations, Room
from domain.compute.change_limit import check_changes
from domain.compute.host import Host
from domain.compute.sizes import wrong_name
from domain.compute.snapshot import Snapshot
from domain.compute.steps import Step, next_step
from domain.compute.vps import Vps, VpsIsCreating, VpsIsRestoring, VpsIsStopping
from domain.deciding import NOTHING, Decision
from domain.errors import Invalid, NotFound, Refusal
from domain.events import Event
from domain.ids import AccountId, SnapshotId, TokenId, capacity_stream
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet import wallet as wallets
from domain.wallet.boots import FAILED_STARTS_OF_ACCOUNT_MAX
from domain.wallet.events import SnapshotsKept, VpsAdmitted
from domain.wallet.funds import admit
from domain.wallet.metering import close_meter
from domain.wallet.vps_limits import VpsLimits, check_disk_limit
from domain.wallet.wallet import Wallet


class SnapshotNameTaken(Refusal):
    """The VPS has a snapshot of this name."""

    code = "snapshot_name_taken"
    sentence = "the vps has a snapshot of this name"


class SnapshotLimitReached(Refusal):
    """The VPS has as many snapshots as it may, those included that are still being removed."""

    code = "snapshot_limit_reached"
    sentence = "the vps has as many snapshots as it may"

    def __init__(self, *, snapshots_count: int, snapshots_max: int) -> None:
        super().__init__(snapshots_count=snapshots_count, snapshots_max=snapshots_max)


class SnapshotNotReady(Refusal):
    """It is not taken yet, or could not be."""

    code = "snapshot_not_ready"
    sentence = "snapshot is not ready"


class VpsIsStarting(Refusal):
    """It is on its way up; once somebody can log in, or it is off again, it can be restored."""

    code = "vps_is_starting"
    sentence = "vps is starting"


class TakeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the disk of a VPS as it is now."""

    snapshot_id: SnapshotId
    name: str


def take_snapshot(
    vps: Vps | None,
    wallet: Wallet,
    book: PriceBook,
    rooms: Iterable[Room],
    limits: VpsLimits,
    snapshots_max: int,
    account_id: AccountId,
    command: TakeSnapshot,
    now: Instant,
) -> Decision:
    """Decide to keep the disk of a VPS as it is.

    Raises NotFound, VpsIsCreating, Invalid, SnapshotNameTaken, SnapshotLimitReached, TooManyChanges,
    VpsDiskLimitReached or NoCapacity.
    """
    vps = life.owned(vps, account_id)
    if vps.state == "creating" or vps.host_id is None or vps.host_key_public is None:
        raise VpsIsCreating  # It has no disk yet.
    if (reason := wrong_name(command.name)) is not None:
        raise Invalid(fields={"name": reason})
    if any(one.name == command.name for one in vps.snapshots if not one.gone):
        raise SnapshotNameTaken
    if len(vps.snapshots) >= snapshots_max:
        raise SnapshotLimitReached(snapshots_count=len(vps.snapshots), snapshots_max=snapshots_max)
    check_changes(vps, 1, now)
    check_disk_limit(wallet, book, limits, vps.disk_gb)
    reserved = capacity.reserve_disk(rooms, vps.host_id, vps.vps_id, vps.disk_gb)
    requested = recorded.SnapshotRequested(
        snapshot_id=command.snapshot_id, name=command.name, disk_gb=vps.disk_gb, at=now
    )
    kept = SnapshotsKept(account_id, vps.vps_id, _kept_gb(vps) + vps.disk_gb)
    decision = both(account_id, vps.vps_id, (kept,), (requested,))
    return Decision(events=((capacity_stream(vps.host_id), reserved), *decision.events))


def list_snapshots(vps: Vps | None, account_id: AccountId) -> list[Snapshot]:
    """Return the snapshots that a VPS has for its owner, newest first. Raises NotFound."""
    return [one for one in reversed(life.owned(vps, account_id).snapshots) if not one.gone]


def delete_snapshot(vps: Vps | None, account_id: AccountId, name: str, now: Instant) -> Decision:
    """Decide to be rid of a snapshot, in whatever state it is. Raises NotFound, VpsIsRestoring for the one at work."""
    vps = life.owned(vps, account_id)
    snapshot = _named(vps, name)
    if snapshot.snapshot_id == vps.restoring:
        raise VpsIsRestoring
    return both(account_id, vps.vps_id, (), (recorded.SnapshotDeleteRequested(snapshot.snapshot_id, now),))


def restore_snapshot(
    vps: Vps | None,
    wallet: Wallet,
    book: PriceBook,
    account_id: AccountId,
    name: str,
    now: Instant,
    *,
    asked_by: TokenId | None = None,
    failed_starts_max: int = FAILED_STARTS_OF_ACCOUNT_MAX,
) -> Decision:
    """Decide to set the disk of a VPS back to what it was. Nothing where that is under way.

    One that is on goes on counting as running until it is off for that, and is then started again; so it has to be
    admitted as one that is switched on. ``asked_by``: the token that asks. Raises NotFound, VpsIsCreating,
    VpsIsStarting, VpsIsStopping, VpsIsRestoring, SnapshotNotReady, TooManyChanges, and what ``admit`` does.
    """
    vps = life.owned(vps, account_id)
    if vps.state == "creating":
        raise VpsIsCreating
    snapshot = _named(vps, name)
    if vps.restoring is not None:
        if vps.restoring == snapshot.snapshot_id:
            return NOTHING
        raise VpsIsRestoring
    if snapshot.state != "ready":
        raise SnapshotNotReady
    if not vps.wanted_on and vps.power != "off":
        raise VpsIsStopping
    check_changes(vps, 1, now)
    if vps.wanted_on:
        if not vps.usable or vps.pending is not None:
            raise VpsIsStarting
        again = next_start(vps, asked_by, failed_starts_max)
        # As if it were off already: recorded it is once it is, see ``restored``.
        admit(_folded(wallet, close_meter(wallet, vps.vps_id, None, now, book)), book, again, now)
    asked = recorded.SnapshotRestoreRequested(snapshot.snapshot_id, vps.generation, now)
    return both(account_id, vps.vps_id, (), (asked,))


def taken(vps: Vps | None, step: Step, now: Instant) -> Decision:
    """Decide that the host keeps the disk as it was."""
    if vps is None or step.snapshot_id is None or next_step(vps) != step:
        return NOTHING
    return both(vps.account_id, vps.vps_id, (), (recorded.SnapshotTaken(step.snapshot_id, now),))


def deleted(vps: Vps | None, reserved: Reservations, step: Step, now: Instant) -> Decision:
    """Decide that nothing is left of a snapshot, and that what it held of disk is free."""
    if vps is None or vps.host_id is None or step.snapshot_id is None or next_step(vps) != step:
        return NOTHING
    held_gb = next(one.disk_gb for one in vps.snapshots if one.snapshot_id == step.snapshot_id)
    free = capacity.release_disk(reserved, vps.host_id, vps.vps_id, held_gb)
    kept = SnapshotsKept(vps.account_id, vps.vps_id, _kept_gb(vps) - held_gb)
    decision = both(vps.account_id, vps.vps_id, (kept,), (recorded.SnapshotDeleted(step.snapshot_id, now),))
    of_host = tuple((capacity_stream(vps.host_id), event) for event in free)
    return Decision(events=(*of_host, *decision.events))


def restored(
    vps: Vps | None,
    wallet: Wallet,
    host: Host | None,
    reserved: Reservations,
    book: PriceBook,
    step: Step,
    off_at: Instant,
) -> Decision:
    """Decide that a disk is as it was and the guest off; one that was on is to be on again.

    That was admitted when it was asked for, and its hour was held back ever since: what it ran until now may have
    used some of it, as of any VPS that runs. Whoever could not pay, or owes, was told to be off meanwhile. Raises
    NoCapacity where its host holds nothing for it any more.
    """
    if vps is None or vps.host_id is None or step.snapshot_id is None or next_step(vps) != step:
        return NOTHING
    done = recorded.SnapshotRestored(step.snapshot_id, vps.generation, off_at)
    if not vps.wanted_on:
        return both(vps.account_id, vps.vps_id, (), (done,))
    generation = vps.generation + 1
    held = capacity.hold_on(reserved, vps.host_id, vps.vps_id, generation)
    closed = close_meter(wallet, vps.vps_id, hosts.proof_of(vps, host), off_at, book)
    admitted = VpsAdmitted(
        account_id=vps.account_id,
        vps_id=vps.vps_id,
        generation=generation,
        plan_id=vps.plan_id,
        token_id=vps.token_id,
        created_at=vps.created_at,
    )
    started = recorded.VpsStartRequested(generation=generation, at=off_at)
    decision = both(vps.account_id, vps.vps_id, (*closed, admitted), (done, started))
    return Decision(events=((capacity_stream(vps.host_id), held), *decision.events))


def _folded(wallet: Wallet, events: tuple[Event, ...]) -> Wallet:
    for event in events:
        wallet = wallets.evolve(wallet, event)
    return wallet


def _named(vps: Vps, name: str) -> Snapshot:
    snapshot = next((one for one in vps.snapshots if one.name == name and not one.gone), None)
    if snapshot is None:
        raise NotFound
    return snapshot


def _kept_gb(vps: Vps) -> int:
    return vps.kept_disk_gb - vps.disk_gb
