"""Changing a VPS: what its owner asks to have otherwise, all of it or nothing, in one decision."""

from msgspec import UNSET

from domain.compute import vps as life
from domain.compute.admission import both
from domain.compute.changes import check_changes
from domain.compute.commands import ChangeVps
from domain.compute.egress import settled, wrong_egress
from domain.compute.expiry import set_expiry
from domain.compute.labels import wrong_labels
from domain.compute.sizes import wrong_name
from domain.compute.ttl import wrong_ttl
from domain.compute.vps import Vps
from domain.deciding import Decision
from domain.errors import Invalid
from domain.events import Event
from domain.time import Instant


def change_vps(vps: Vps | None, command: ChangeVps, now: Instant) -> Decision:
    """Decide to have a VPS otherwise, in whatever state it is; nothing where it is so.

    Raises NotFound, Invalid or TooManyChanges.
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
        events += life.set_egress(vps, settled(command.egress), now)
    check_changes(vps, len(events), now)
    return both(vps.account_id, vps.vps_id, (), events)


def _check_fields(command: ChangeVps) -> None:
    reasons = {
        "name": None if command.name is UNSET else wrong_name(command.name),
        "labels": None if command.labels is UNSET else wrong_labels(command.labels),
        "ttl_minutes": wrong_ttl(command.ttl_minutes) if isinstance(command.ttl_minutes, int) else None,
        "egress": None if command.egress is UNSET else wrong_egress(command.egress),
    }
    if fields := {field: reason for field, reason in reasons.items() if reason is not None}:
        raise Invalid(fields=fields)
