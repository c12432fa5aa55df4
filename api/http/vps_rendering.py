"""How a VPS and its recorded life are told."""

from typing import Any, Literal
from uuid import UUID

import msgspec

from api.http.rendering import Amount, Time, amount_number, optional_time
from domain import codec
from domain.compute.vps import Pending, State, Vps
from domain.events import personal_fields
from domain.money import ZERO
from domain.ports import Recorded
from domain.pricing.price_book import PriceBook
from domain.time import Instant, to_rfc3339
from domain.wallet.meter import Meter

SSH_USER: Literal["root"] = "root"

VPS_EXAMPLE: dict[str, Any] = {
    "id": "01937b1e-5c00-7000-8000-000000000003",
    "name": "web-01",
    "state": "running",
    "pending": None,
    "plan_id": "01937b1e-5c00-7000-8000-0000000000aa",
    "template": None,
    "vcpu": 1,
    "memory_mb": 512,
    "disk_gb": 10,
    "price_hourly": 0.0042,
    "ip": None,
    "ssh_host": "203.0.113.7",
    "ssh_port": 22001,
    "ssh_user": "root",
    "ssh_host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEHOSTKEYEXAMPLEHOSTKEYEXAMPLEHOSTKEYEX",
    "ssh_key_ids": ["01937b1e-5c00-7000-8000-000000000002"],
    "labels": {},
    "created_at": "2026-11-23T17:00:00Z",
    "started_at": "2026-11-23T17:00:09.214Z",
    "expires_at": None,
    "metered_minutes": 3,
    "cost": 0.00021,
    "error": None,
}
CREATING_EXAMPLE = VPS_EXAMPLE | {
    "state": "creating",
    "ssh_host_key": None,
    "started_at": None,
    "metered_minutes": 0,
    "cost": 0,
}


class VpsTold(msgspec.Struct, frozen=True, kw_only=True):
    """A VPS; sizes in MiB and GiB."""

    id: UUID
    name: str
    state: State
    pending: Pending | None
    plan_id: UUID
    template: str | None
    vcpu: int
    memory_mb: int
    disk_gb: int
    price_hourly: Amount
    ip: str | None
    """An address of its own; without one, it is reached by ``ssh_host`` and ``ssh_port``."""
    ssh_host: str | None
    ssh_port: int | None
    """Of the VPS while it is on; null while it is off, for the port may lead to another one by then."""
    ssh_user: str
    ssh_host_key: str | None
    ssh_key_ids: tuple[UUID, ...]
    labels: dict[str, str]
    created_at: Time
    started_at: Time | None
    expires_at: Time | None
    metered_minutes: int
    cost: Amount
    error: str | None


class VpsEvent(msgspec.Struct, frozen=True):
    """Something that was recorded of a VPS."""

    position: int
    event: str
    at: Time
    by: str
    """Who acted: ``account``, ``token``, ``operator`` or ``service``."""
    facts: dict[str, Any]


def vps_told(vps: Vps, meter: Meter | None, book: PriceBook, now: Instant) -> VpsTold:
    """Return a VPS as its owner is told of it."""
    return VpsTold(
        id=vps.vps_id,
        name=vps.name,
        state=vps.state,
        pending=vps.pending,
        plan_id=vps.plan_id,
        template=None,
        vcpu=vps.vcpu,
        memory_mb=vps.memory_mb,
        disk_gb=vps.disk_gb,
        price_hourly=amount_number(book.in_force(vps.plan_id, now).price_hourly),
        ip=None,
        ssh_host=vps.ssh_host if vps.reachable else None,
        ssh_port=vps.ssh_port if vps.reachable else None,
        ssh_user=SSH_USER,
        ssh_host_key=vps.host_key_public,
        ssh_key_ids=vps.ssh_key_ids,
        labels=labels_told(vps),
        created_at=to_rfc3339(vps.created_at),
        started_at=optional_time(vps.started_at),
        expires_at=None,
        metered_minutes=meter.paid_n if meter else 0,
        cost=amount_number(meter.paid if meter else ZERO),
        error=vps.error,
    )


def labels_told(vps: Vps) -> dict[str, str]:
    """Return the labels of a VPS."""
    return msgspec.json.decode(vps.labels, type=dict[str, str]) if vps.labels else {}


def vps_event(recorded: Recorded) -> VpsEvent:
    """Return an event of a VPS as it is told; what is personal is left out."""
    event = codec.decode(recorded)
    facts = msgspec.to_builtins(event)
    hidden = {"type", "account_id", "vps_id", *personal_fields(type(event))}
    return VpsEvent(
        position=recorded.position,
        event=recorded.type,
        at=to_rfc3339(recorded.happened_at),
        by=codec.decode_metadata(recorded).actor.kind,
        facts={name: _readable(name, fact) for name, fact in facts.items() if name not in hidden},
    )


def _readable(name: str, fact: object) -> object:
    is_instant = isinstance(fact, int) and (name == "at" or name.endswith("_at"))
    return to_rfc3339(Instant(int(str(fact)))) if is_instant else fact
