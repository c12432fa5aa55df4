"""`litevps host list|show|drain|undrain|label|overcommit`: what hosts have left, and what operators say of them."""

from collections.abc import Awaitable, Callable
from typing import Literal

import click

from api.application.capacity import room_refs
from api.application.images import list_images
from api.application.operators import drain_host, label_host, set_overcommit, undrain_host
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.cli.accounts import invalid_fields_of
from api.cli.flags import with_settings
from api.cli.limits import NUMBER, Given
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import print_progress, run_with_runtime
from domain.compute.capacity import Room
from domain.errors import Invalid
from domain.ids import HostId
from domain.images.images import Image
from domain.time import to_rfc3339

_host = click.argument("named", metavar="HOST")
"""The id or the name of a host."""


@click.command("list")
@click.option("--label", "wanted", help="Only hosts with this label: `key` or `key=value`.")
@with_form
@with_settings()
def list_hosts(in_force: SettingsInForce, wanted: str | None, form: Form) -> None:
    """Show what of each host is reserved, and of how much."""
    rooms = [room for room in run_with_runtime(in_force.settings, _rooms) if _has(room, wanted)]
    print_result(form, [_facts(room) for room in rooms], _HEADINGS, [_row(room) for room in rooms])


@click.command("show")
@_host
@with_form
@with_settings()
def show(in_force: SettingsInForce, named: str, form: Form) -> None:
    """Show one host, and every VPS that holds something of it."""

    async def read(runtime: Runtime) -> tuple[Room, list[Image]]:
        return _found(await _rooms(runtime), named), await list_images(runtime)

    room, images = run_with_runtime(in_force.settings, read)
    held = sorted(room.reserved.by_vps.items())
    facts = {
        **_facts(room),
        "images": [image.name for image in images if image.is_on(room.host.host_id)],
        "observed_at": None if room.host.observed_at is None else to_rfc3339(room.host.observed_at),
        "boot_id": room.host.boot_id,
        "held": [{"vps_id": str(vps_id), "on": one.on, "memory_mb": one.memory_mb, "vcpu": one.vcpu,
                  "disk_gb": one.disk_gb, "ssh_port": one.ssh_port} for vps_id, one in held],
    }  # fmt: skip
    rows = [
        (str(vps_id), "on" if one.on else "off", str(one.memory_mb), str(one.vcpu), str(one.disk_gb))
        for vps_id, one in held
    ]
    if form == "table":
        print_progress(", ".join(f"{name}: {text}" for name, text in zip(_HEADINGS, _row(room), strict=True)))
    print_result(form, facts, ("VPS", "STATE", "MEMORY MB", "VCPU", "DISK GB"), rows)


@click.command("drain")
@_host
@with_form
@with_settings()
def drain(in_force: SettingsInForce, named: str, form: Form) -> None:
    """Have no new VPS placed on HOST. What is there stays, may be started again, and is not moved."""
    _tell_changed(in_force, named, form, drain_host)


@click.command("undrain")
@_host
@with_form
@with_settings()
def undrain(in_force: SettingsInForce, named: str, form: Form) -> None:
    """Have new VPSs placed on HOST again."""
    _tell_changed(in_force, named, form, undrain_host)


@click.command("label")
@_host
@click.argument("labels", nargs=-1, required=True)
@with_form
@with_settings()
def label(in_force: SettingsInForce, named: str, labels: tuple[str, ...], form: Form) -> None:
    """Give HOST labels: `key=value` sets one, `key-` takes it away. `plans=small,big`: for these plans only."""
    changes: dict[str, str | None] = {}
    for one in labels:
        key, equals, value = one.partition("=")
        if not equals and not key.endswith("-"):
            raise click.UsageError(f"{one!r} is neither key=value nor key-")
        changes[key if equals else key.removesuffix("-")] = value if equals else None
    _tell_changed(in_force, named, form, lambda runtime, host_id: label_host(runtime, host_id, changes))


@click.command("overcommit")
@_host
@click.option("--cpu-percent", type=NUMBER, help="Processors that may be promised, in percent; `default`.")
@click.option("--disk-percent", type=NUMBER, help="Disk that may be promised, in percent; `default`.")
@with_form
@with_settings()
def overcommit(in_force: SettingsInForce, named: str, cpu_percent: Given, disk_percent: Given, form: Form) -> None:
    """Say how far beyond what HOST has may be promised."""
    _tell_changed(
        in_force, named, form, lambda runtime, host_id: set_overcommit(runtime, host_id, cpu_percent, disk_percent)
    )


def _tell_changed(
    in_force: SettingsInForce, named: str, form: Form, change: Callable[[Runtime, HostId], Awaitable[object]]
) -> None:
    async def changed(runtime: Runtime) -> Room:
        host_id = _found(await _rooms(runtime), named).host.host_id
        try:
            await change(runtime, host_id)
        except Invalid as refused:
            raise click.ClickException(invalid_fields_of(refused)) from None
        return _found(await _rooms(runtime), str(host_id))

    room = run_with_runtime(in_force.settings, changed)
    print_result(form, [_facts(room)], _HEADINGS, [_row(room)])


async def _rooms(runtime: Runtime) -> tuple[Room, ...]:
    hosts = await room_refs(runtime.worker)
    return hosts.rooms(await runtime.aggregates.load(*hosts.refs), new=False)


def _found(rooms: tuple[Room, ...], host: str) -> Room:
    """Return the host of an id or a name. Raises ClickException where there is none, or more than one."""
    found = [room for room in rooms if host in (str(room.host.host_id), room.host.name)]
    if len(found) == 1:
        return found[0]
    problem = f"there is no host {host}" if not found else f"{len(found)} hosts are called {host}: give an id"
    raise click.ClickException(f"{problem}: `litevps host list` tells which there are")


def _has(room: Room, wanted: str | None) -> bool:
    if wanted is None:
        return True
    key, equals, value = wanted.partition("=")
    return key in room.host.labels and (not equals or room.host.labels[key] == value)


_HEADINGS = ("HOST", "NAME", "STATE", "MEMORY MB", "VCPU", "DISK GB", "PORTS", "VPSS", "LABELS")


def _state(room: Room) -> Literal["open", "drained", "lost"]:
    if room.host.lost_at is not None:
        return "lost"
    return "drained" if room.reserved.drained else "open"


def _facts(room: Room) -> dict[str, object]:
    reserved = room.reserved
    return {
        "id": str(room.host.host_id),
        "name": room.host.name,
        "state": _state(room),
        "labels": room.host.labels,
        "memory_mb": {"used": reserved.memory_mb, "total": room.host.memory_mb},
        "vcpu": {"used": reserved.vcpu, "total": room.vcpu},
        "disk_gb": {"used": reserved.disk_gb, "total": room.disk_gb},
        "ports": {"used": len(reserved.ports), "total": room.host.port_to - room.host.port_from + 1},
        "vpss": len(reserved.by_vps),
    }


def _row(room: Room) -> tuple[str, ...]:
    reserved, ports = room.reserved, room.host.port_to - room.host.port_from + 1
    return (
        str(room.host.host_id),
        room.host.name,
        _state(room),
        _of(reserved.memory_mb, room.host.memory_mb),
        _of(reserved.vcpu, room.vcpu),
        _of(reserved.disk_gb, room.disk_gb),
        _of(len(reserved.ports), ports),
        str(len(reserved.by_vps)),
        ",".join(f"{key}={value}" for key, value in room.host.labels.items()),
    )


def _of(used: int, total: int | None) -> str:
    return f"{used}/{'any' if total is None else total}"
