"""The snapshots of a VPS's disk, whoever asks: taken, listed, restored and deleted."""

from api.application.caller import Caller
from api.application.capacity import room_refs
from api.application.once import Once
from api.application.runtime import Runtime
from api.application.vps import VpsDetails, changed_details
from domain.compute import snapshots
from domain.compute.snapshot import Snapshot
from domain.compute.snapshots import TakeSnapshot
from domain.compute.vps import vps_ref
from domain.ids import SnapshotId, VpsId
from domain.pricing.price_book import PRICES
from domain.settings.settings import SETTINGS_REF
from domain.wallet.wallet import wallet_ref


async def take_snapshot(
    runtime: Runtime, caller: Caller, vps_id: VpsId, name: str, once: Once[Snapshot] | None = None
) -> Snapshot:
    """Have the disk of a VPS kept as it is.

    Raises NotFound, VpsIsCreating, Invalid, SnapshotNameTaken, SnapshotLimitReached, TooManyChanges,
    VpsDiskLimitReached, NoCapacity or Contended.
    """
    ref, wallet, hosts = vps_ref(vps_id), wallet_ref(caller.account_id), await room_refs(runtime.worker)
    command = TakeSnapshot(snapshot_id=SnapshotId(runtime.ids.new()), name=name)
    executed = await runtime.aggregates.execute(
        (ref, wallet, PRICES, *hosts.refs),
        lambda loaded, now: snapshots.take_snapshot(
            loaded.of(ref),
            loaded.of(wallet),
            loaded.of(PRICES),
            hosts.rooms(loaded, new=False),
            loaded.of(SETTINGS_REF).vps_limits,
            loaded.of(SETTINGS_REF).snapshots_per_vps,
            caller.account_id,
            command,
            now,
        ),
        caller.context("snapshot"),
        result=lambda decided: next(
            one
            for one in snapshots.list_snapshots(decided.loaded.of(ref), caller.account_id)
            if one.snapshot_id == command.snapshot_id
        ),
        once=once,
    )
    return executed.result


async def list_snapshots(runtime: Runtime, caller: Caller, vps_id: VpsId) -> list[Snapshot]:
    """Return the snapshots of a VPS, newest first. Raises NotFound."""
    ref = vps_ref(vps_id)
    return snapshots.list_snapshots((await runtime.aggregates.load(ref)).of(ref), caller.account_id)


async def restore_snapshot(
    runtime: Runtime, caller: Caller, vps_id: VpsId, name: str, once: Once[VpsDetails] | None = None
) -> VpsDetails:
    """Have the disk of a VPS as it was; one that is on is started again, if the balance covers an hour of all.

    Raises NotFound, VpsIsCreating, VpsIsStarting, VpsIsStopping, VpsIsRestoring, SnapshotNotReady, VpsOfAnother,
    TooManyChanges, Contended, or what ``create_vps`` does of money and failed starts.
    """
    ref, wallet = vps_ref(vps_id), wallet_ref(caller.account_id)
    executed = await runtime.aggregates.execute(
        (ref, wallet, PRICES, SETTINGS_REF),
        lambda loaded, now: snapshots.restore_snapshot(
            loaded.of(ref),
            loaded.of(wallet),
            loaded.of(PRICES),
            caller.account_id,
            name,
            now,
            asked_by=caller.token_id,
            failed_starts_max=loaded.of(SETTINGS_REF).failed_starts_per_hour,
        ),
        caller.context("restore-asked"),
        result=lambda decided: changed_details(caller, vps_id, decided),
        once=once,
    )
    return executed.result


async def delete_snapshot(runtime: Runtime, caller: Caller, vps_id: VpsId, name: str) -> None:
    """Have a snapshot gone for good. Raises NotFound, VpsIsRestoring or Contended."""
    ref = vps_ref(vps_id)
    await runtime.aggregates.execute(
        (ref,),
        lambda loaded, now: snapshots.delete_snapshot(loaded.of(ref), caller.account_id, name, now),
        caller.context("delete-snapshot"),
    )
