"""Changing a VPS: what its owner asks to have otherwise, all of it or nothing, in one decision."""

from collections.abc import Iterable

from msgspec import UNSET

from domain.compute import vps as life
from domain.compute.admission import both
from domain.compute.capacity import Room, check_plan, grow_disk
from domain.compute.change_limit import check_changes
from domain.compute.commands import ChangeVps
from domain.compute.egress import normalized, wrong_egress
from domain.compute.events import VpsResized
from domain.compute.expiry import set_expiry
from domain.compute.labels import wrong_labels
from domain.compute.sizes import wrong_name
from domain.compute.ttl import wrong_ttl
from domain.compute.vps import Vps
from domain.deciding import Decision
from domain.errors import Invalid, Refusal
from domain.events import Event
from domain.ids import PlanId, capacity_stream
from domain.pricing.price_book import PlanNotFound, PriceBook
from domain.time import Instant
from domain.wallet.funds import change_plan, check_asking
from domain.wallet.vps_limits import VpsLimits, check_disk_limit
from domain.wallet.wallet import Wallet


class DiskCannotShrink(Refusal):
    """The plan has a smaller disk than the VPS, whose files may need all of it; in GiB."""

    code = "disk_cannot_shrink"
    sentence = "a disk cannot shrink"

    def __init__(self, *, disk_gb: int, plan_disk_gb: int) -> None:
        super().__init__(disk_gb=disk_gb, plan_disk_gb=plan_disk_gb)


def change_vps(
    vps: Vps | None,
    wallet: Wallet,
    book: PriceBook,
    rooms: Iterable[Room],
    limits: VpsLimits,
    command: ChangeVps,
    now: Instant,
) -> Decision:
    """Decide to have a VPS otherwise; nothing where it is so.

    Name, labels and time to live in whatever state it is; its plan while it is off. Raises NotFound, Invalid,
    VpsIsCreating, VpsNotStopped, DiskCannotShrink, PlanNotOfHost, VpsDiskLimitReached, NoCapacity,
    Unauthorized, VpsOfAnother or TooManyChanges.
    """
    vps = life.owned(vps, command.account_id)
    _check_fields(command)
    events: tuple[Event, ...] = ()
    if command.name is not UNSET:
        events += life.rename(vps, command.name, now)
    if command.labels is not UNSET:
        events += life.label(vps, command.labels, now)
    if command.ttl_minutes is not UNSET:
        events += set_expiry(vps, command.ttl_minutes, now)
    if command.egress is not UNSET:
        events += life.set_egress(vps, normalized(command.egress), now)
    is_resized = command.plan_id is not UNSET and command.plan_id != vps.plan_id
    check_changes(vps, len(events) + is_resized, now)
    changed = both(vps.account_id, vps.vps_id, (), events)
    if command.plan_id is UNSET or command.plan_id == vps.plan_id:
        return changed
    check_asking(wallet, command.asked_by, vps.token_id, now)
    resized = _resize(vps, wallet, book, rooms, limits, command.plan_id, now)
    return Decision(events=(*resized.events, *changed.events))


def _resize(
    vps: Vps, wallet: Wallet, book: PriceBook, rooms: Iterable[Room], limits: VpsLimits, plan_id: PlanId, now: Instant
) -> Decision:
    if vps.state == "creating":
        raise life.VpsIsCreating
    if vps.wanted_on or vps.power != "off" or vps.restoring is not None:
        raise life.VpsNotStopped
    try:
        plan = book.offered_plan(plan_id)
    except PlanNotFound:
        raise Invalid(fields={"plan_id": "no such plan"}) from None
    if plan.disk_gb < vps.disk_gb:
        raise DiskCannotShrink(disk_gb=vps.disk_gb, plan_disk_gb=plan.disk_gb)
    rooms = tuple(rooms)
    if vps.host_id is not None:
        check_plan(rooms, vps.host_id, plan.name)
    more_gb = plan.disk_gb - vps.disk_gb
    if more_gb:
        check_disk_limit(wallet, book, limits, more_gb)
    sizes = {"vcpu": plan.vcpu, "memory_mb": plan.memory_mb, "disk_gb": plan.disk_gb}
    recorded = both(
        vps.account_id,
        vps.vps_id,
        change_plan(wallet, vps.vps_id, plan.id, now),
        (VpsResized(plan_id=plan.id, **sizes, at=now),),
    )
    if vps.host_id is None:
        return recorded
    stream = capacity_stream(vps.host_id)
    reserved = tuple((stream, event) for event in grow_disk(rooms, vps.host_id, vps.vps_id, more_gb))
    return Decision(events=(*reserved, *recorded.events))


def _check_fields(command: ChangeVps) -> None:
    reasons = {
        "name": None if command.name is UNSET else wrong_name(command.name),
        "labels": None if command.labels is UNSET else wrong_labels(command.labels),
        "ttl_minutes": wrong_ttl(command.ttl_minutes) if isinstance(command.ttl_minutes, int) else None,
        "egress": None if command.egress is UNSET else wrong_egress(command.egress),
    }
    if fields := {field: reason for field, reason in reasons.items() if reason is not None}:
        raise Invalid(fields=fields)
