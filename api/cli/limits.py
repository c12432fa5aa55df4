"""`litevps account limit` and `litevps host list|overcommit`: what accounts may keep, and what hosts have left."""

from typing import Literal
from uuid import UUID

import click
import msgspec

from api.application.capacity import room_views
from api.application.operators import set_overcommit, set_vps_limits
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.cli.accounts import account_at, told
from api.cli.flags import with_settings
from api.cli.output import Form, tell, with_form
from api.cli.sessions import run_with_runtime
from domain.compute.capacity import Room
from domain.errors import Invalid
from domain.settings.settings import SETTINGS_REF
from domain.wallet.vps_limits import VpsLimits, vps_limits
from domain.wallet.wallet import wallet_ref

Given = int | Literal["default"] | None
"""A number, what holds for all others, or nothing: it stays as it is."""


DIGITS_MAX = 18
"""So that a number fits into 64 bits; what is too large for a limit is refused as such."""


class _NumberOrDefault(click.ParamType[int | str]):
    name = "N|default"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return a whole number or ``default``. Raises BadParameter."""
        if value == "default":
            return value
        if not (value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX):
            self.fail(f"{value!r} is neither a whole number nor `default`.", param, ctx)
        return int(value)


NUMBER = _NumberOrDefault()


@click.command("limit")
@click.argument("email")
@click.option("--vps-max", type=NUMBER, help="How many VPSs it may keep, on or off; `default`: as all accounts.")
@click.option("--vps-disk-gb-max", type=NUMBER, help="How much disk, GiB, they may have together; `default`.")
@click.option("--reason", required=True, help="Why; it is recorded.")
@with_form
@with_settings()
def limit(
    in_force: SettingsInForce, email: str, vps_max: Given, vps_disk_gb_max: Given, reason: str, form: Form
) -> None:
    """Give an account limits of its own for what it may keep; what it has already is left as it is."""
    if vps_max is None and vps_disk_gb_max is None:
        raise click.UsageError("give --vps-max, --vps-disk-gb-max or both")

    async def limited(runtime: Runtime) -> tuple[str, VpsLimits]:
        account_id = await account_at(runtime, in_force, email)
        try:
            await set_vps_limits(runtime, account_id, vps_max, vps_disk_gb_max, reason)
        except Invalid as refused:
            raise click.ClickException(told(refused)) from None
        loaded = await runtime.aggregates.load(wallet_ref(account_id), SETTINGS_REF)
        return str(account_id), vps_limits(loaded.of(wallet_ref(account_id)), loaded.of(SETTINGS_REF).vps_limits)

    account_id, limits = run_with_runtime(in_force.settings, limited)
    facts = {"id": account_id, "email": email, **msgspec.structs.asdict(limits)}
    row = (account_id, email, str(limits.vps_max), str(limits.vps_disk_gb_max))
    tell(form, facts, ("ID", "E-MAIL", "VPS MAX", "DISK GB MAX"), [row])


@click.command("list")
@with_form
@with_settings()
def list_hosts(in_force: SettingsInForce, form: Form) -> None:
    """Show what of each host is reserved, and of how much."""

    async def read(runtime: Runtime) -> tuple[Room, ...]:
        hosts = await room_views(runtime.worker)
        return hosts.rooms(await runtime.aggregates.load(*hosts.refs), new=False)

    rooms = run_with_runtime(in_force.settings, read)
    tell(form, [_facts(room) for room in rooms], _HEADINGS, [_row(room) for room in rooms])


@click.command("overcommit")
@click.argument("host_id", type=click.UUID)
@click.option("--cpu-percent", type=NUMBER, help="Processors that may be promised, in percent; `default`.")
@click.option("--disk-percent", type=NUMBER, help="Disk that may be promised, in percent; `default`.")
@with_form
@with_settings()
def overcommit(in_force: SettingsInForce, host_id: UUID, cpu_percent: Given, disk_percent: Given, form: Form) -> None:
    """Say how far beyond what a host has may be promised; HOST_ID is one of `litevps host list`."""

    async def changed(runtime: Runtime) -> tuple[Room, ...]:
        hosts = await room_views(runtime.worker)
        found = [one for one in hosts.host_ids if one == host_id]
        if not found:
            raise click.ClickException(f"there is no host {host_id}: `litevps host list` tells which there are")
        try:
            await set_overcommit(runtime, found[0], cpu_percent, disk_percent)
        except Invalid as refused:
            raise click.ClickException(told(refused)) from None
        rooms = hosts.rooms(await runtime.aggregates.load(*hosts.refs), new=False)
        return tuple(room for room in rooms if room.host.host_id == host_id)

    rooms = run_with_runtime(in_force.settings, changed)
    tell(form, [_facts(room) for room in rooms], _HEADINGS, [_row(room) for room in rooms])


_HEADINGS = ("HOST", "NAME", "MEMORY MB", "VCPU", "DISK GB", "PORTS", "VPSS")


def _facts(room: Room) -> dict[str, object]:
    reserved = room.reserved
    return {
        "id": str(room.host.host_id),
        "name": room.host.name,
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
        _of(reserved.memory_mb, room.host.memory_mb),
        _of(reserved.vcpu, room.vcpu),
        _of(reserved.disk_gb, room.disk_gb),
        _of(len(reserved.ports), ports),
        str(len(reserved.by_vps)),
    )


def _of(used: int, total: int | None) -> str:
    return f"{used}/{'any' if total is None else total}"
