"""Admission: what an owner asks of a VPS, its wallet grants and a host has room for, in one decision over all three."""

from collections.abc import Iterable

import msgspec

from domain.compute import capacity
from domain.compute import vps as life
from domain.compute.boot_script import wrong_boot_script
from domain.compute.capacity import Reserved, Room
from domain.compute.change_limit import check_changes
from domain.compute.commands import CreateVps
from domain.compute.egress import wrong_egress
from domain.compute.events import DeleteReason
from domain.compute.labels import wrong_labels
from domain.compute.sizes import wrong_name
from domain.compute.steps import placed
from domain.compute.ttl import wrong_ttl
from domain.compute.vps import Vps
from domain.deciding import NOTHING, Decision
from domain.errors import Invalid, InvariantBroken
from domain.events import Event
from domain.ids import AccountId, TokenId, VpsId, capacity_stream, vps_stream, wallet_stream
from domain.pricing.price_book import PriceBook
from domain.time import Instant
from domain.wallet.boots import FAILED_STARTS_OF_ACCOUNT_MAX
from domain.wallet.commands import AdmitVps
from domain.wallet.funds import admit, end_boot, release
from domain.wallet.vps_limits import VpsLimits, check_vps_limits
from domain.wallet.wallet import Wallet


def create_vps(
    vps: Vps | None,
    wallet: Wallet,
    book: PriceBook,
    rooms: Iterable[Room],
    limits: VpsLimits,
    command: CreateVps,
    now: Instant,
    *,
    failed_starts_max: int = FAILED_STARTS_OF_ACCOUNT_MAX,
) -> Decision:
    """Decide to make a VPS, and where. Nothing where it was made before.

    ``limits``: of accounts that have none of their own. Raises Invalid, VpsLimitReached, VpsDiskLimitReached,
    NoCapacity where none of the ``rooms`` can take it, and what ``admit`` does: what paying cures comes last.
    """
    if vps is not None:
        if vps.account_id != command.account_id:
            raise InvariantBroken("the id of a VPS is made anew for each")
        return NOTHING
    reasons = {
        "name": wrong_name(command.name),
        "labels": wrong_labels(command.labels),
        "user_data": _wrong_user_data(command),
        "disk_gb": _wrong_disk(command),
        "ttl_minutes": None if command.ttl_minutes is None else wrong_ttl(command.ttl_minutes),
        "egress": None if command.egress is None else wrong_egress(command.egress),
    }
    if fields := {field: reason for field, reason in reasons.items() if reason is not None}:
        raise Invalid(fields=fields)
    admission = AdmitVps(
        vps_id=command.vps_id,
        generation=1,
        plan_id=command.plan_id,
        created_at=now,
        token_id=command.token_id,
        asked_by=command.token_id,
        failed_starts_max=failed_starts_max,
    )
    check_vps_limits(wallet, book, limits, command.disk_gb)
    place = capacity.reserve(rooms, command, 1, book.plan(command.plan_id).name)
    admitted = admit(wallet, book, admission, now)
    requested = life.create(command, now)
    made = both(command.account_id, command.vps_id, admitted, (*requested, *_placed(place, now)))
    blobs = () if command.offloaded_user_data is None else (command.offloaded_user_data.kept,)
    return msgspec.structs.replace(_with_place(place, made), blobs=blobs)


def _wrong_user_data(command: CreateVps) -> str | None:
    if command.user_data is None:
        return None
    return wrong_boot_script(command.user_data, command.image, cloud_config=command.cloud_config)


def _wrong_disk(command: CreateVps) -> str | None:
    if command.disk_gb >= command.image_disk_gb_min:
        return None
    return f"image {command.image} takes a disk of at least {command.image_disk_gb_min} GiB"


def start_vps(
    vps: Vps | None,
    wallet: Wallet,
    book: PriceBook,
    rooms: Iterable[Room],
    account_id: AccountId,
    now: Instant,
    *,
    asked_by: TokenId | None = None,
    failed_starts_max: int = FAILED_STARTS_OF_ACCOUNT_MAX,
) -> Decision:
    """Decide to switch a VPS on; nothing where it is on, or on its way.

    ``asked_by``: the token that asks, None where a session does. Raises NotFound, VpsIsCreating, VpsIsStopping,
    TooManyChanges, NoCapacity where its host has no room, and what ``admit`` does.
    """
    vps = life.owned(vps, account_id)
    started = life.start(vps, now)
    if not started:
        return NOTHING
    check_changes(vps, 1, now)
    admission = next_start(vps, asked_by, failed_starts_max)
    if vps.host_id is None:
        place = capacity.reserve(rooms, vps, admission.generation, book.plan(vps.plan_id).name)
    else:
        place = capacity.reserve_again(rooms, vps.host_id, vps, admission.generation, vps.ssh_port)
    admitted = admit(wallet, book, admission, now)
    moved = () if (vps.host_id, vps.ssh_port) == (place.host.host_id, place.ssh_port) else _placed(place, now)
    return _with_place(place, both(account_id, vps.vps_id, admitted, (*started, *moved)))


def next_start(vps: Vps, asked_by: TokenId | None, failed_starts_max: int) -> AdmitVps:
    """Return what a wallet is asked before a VPS that is off, or will be, is on once more."""
    return AdmitVps(
        vps_id=vps.vps_id,
        generation=vps.generation + 1,
        plan_id=vps.plan_id,
        created_at=vps.created_at,
        token_id=vps.token_id,
        asked_by=asked_by,
        failed_starts_max=failed_starts_max,
    )


def stop_vps(vps: Vps | None, wallet: Wallet, account_id: AccountId, now: Instant) -> Decision:
    """Decide to switch a VPS off: it is charged no further. Raises NotFound, VpsIsCreating."""
    vps = life.owned(vps, account_id)
    stopping = life.stop(vps, now)
    if not stopping:
        return NOTHING
    released = release(wallet, vps.vps_id, now, "stop")
    return both(account_id, vps.vps_id, (*_abandoned_boot(vps, wallet, now), *released), stopping)


def restart_vps(vps: Vps | None, account_id: AccountId, now: Instant) -> Decision:
    """Decide to have a guest boot anew; it goes on running. Raises NotFound, VpsIsCreating, VpsNotRunning."""
    vps = life.owned(vps, account_id)
    return both(account_id, vps.vps_id, (), life.restart(vps, now))


def delete_vps(
    vps: Vps | None, wallet: Wallet, account_id: AccountId, now: Instant, reason: DeleteReason = "requested"
) -> Decision:
    """Decide to delete a VPS, in whatever state it is. Raises NotFound, also where it was deleted before."""
    return delete_now(life.owned(vps, account_id), wallet, now, reason)


def delete_now(vps: Vps, wallet: Wallet, now: Instant, reason: DeleteReason) -> Decision:
    """Decide to delete a VPS that exists, in whatever state it is: it is charged no further."""
    released = release(wallet, vps.vps_id, now, "delete")
    boots = _abandoned_boot(vps, wallet, now)
    return both(vps.account_id, vps.vps_id, (*boots, *released), life.delete(vps, now, reason))


def _abandoned_boot(vps: Vps, wallet: Wallet, now: Instant) -> tuple[Event, ...]:
    if vps.boots_since is None:
        return ()
    return end_boot(wallet, vps.vps_id, vps.generation, vps.boots_since, now, "abandoned")


def both(
    account_id: AccountId, vps_id: VpsId, wallet_events: tuple[Event, ...], vps_events: tuple[Event, ...]
) -> Decision:
    """Return the decision to record these events of a wallet and of one of its VPSs together."""
    return Decision(
        events=(
            *((wallet_stream(account_id), event) for event in wallet_events),
            *((vps_stream(vps_id), event) for event in vps_events),
        )
    )


def _placed(place: Reserved, now: Instant) -> tuple[Event, ...]:
    return placed(place.host.host_id, place.host.ssh_host, place.ssh_port, now)


def _with_place(place: Reserved, decision: Decision) -> Decision:
    # First: what others change at the same time is the host's, and whoever loses waits for that.
    reserved = (capacity_stream(place.host.host_id), place.event)
    return Decision(events=(reserved, *decision.events))
