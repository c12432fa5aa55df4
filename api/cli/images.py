"""`litevps image`: which images guests can start from; building, adding and removing them."""

from pathlib import Path

import click
import msgspec

from api.application.images import list_images, register_image, retire_image
from api.application.runtime import Runtime
from api.application.settings import SettingsInForce
from api.bootstrap.images import BUILDABLE, ImageRefused, brought_image, built_image, discard_files
from api.cli.flags import with_settings
from api.cli.output import Form, print_result, with_form
from api.cli.sessions import print_progress, require_ledger, run_with_runtime
from domain.images.commands import RegisterImage
from domain.images.images import Image, wrong_image_name
from domain.time import to_rfc3339

_HEADINGS = ("NAME", "BOOTS BY", "USER DATA", "DISK GB", "SIZE MB", "HOSTS", "KEY")


@click.group()
def image() -> None:
    """Images that guests start from; debian-12-lite is on every host, and needs no registration."""


@image.command("list")
@with_form
@with_settings()
def list_all(in_force: SettingsInForce, form: Form) -> None:
    """Show the images that guests can start from: the one that ships, and those that are registered."""
    _tell(form, run_with_runtime(in_force.settings, list_images))


@image.command("build")
@click.argument("name", type=click.Choice(BUILDABLE))
@with_form
@with_settings()
def build(in_force: SettingsInForce, name: str, form: Form) -> None:
    """Build the image NAME from Debian's packages, as root or by sudo, and register it. Takes some two minutes."""
    require_ledger(in_force.settings)
    _register(in_force, built_image(in_force.settings, name, print_progress), form)


@image.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sha256", help="What the file must have.")
@with_form
@with_settings()
def add(in_force: SettingsInForce, name: str, file: Path, sha256: str | None, form: Form) -> None:
    """Copy FILE, a qcow2 with cloud-init that boots by itself, and register it as NAME.

    One of the same name is followed by it; VPSs that started from that one keep it.
    """
    require_ledger(in_force.settings)
    if wrong := wrong_image_name(name):
        raise click.ClickException(f"NAME {wrong}")
    try:
        command = brought_image(in_force.settings, name, file, sha256, print_progress)
    except ImageRefused as refused:
        raise click.ClickException(f"{file} cannot be an image: {refused}") from refused
    _register(in_force, command, form)


@image.command("remove")
@click.argument("name")
@with_settings()
def remove(in_force: SettingsInForce, name: str) -> None:
    """Start no new VPS from NAME; its files go unless a guest's disk lies upon them."""

    async def retired(runtime: Runtime) -> tuple[Image, list[Image]]:
        return await retire_image(runtime, name), await list_images(runtime)

    gone, others = run_with_runtime(in_force.settings, retired)
    files_gone = discard_files(in_force.settings, gone.key, frozenset(one.key for one in others))
    print_progress("removed" if files_gone else "removed; its files stay, since guests have their disks upon them")


def _register(in_force: SettingsInForce, command: RegisterImage, form: Form) -> None:
    async def registered(runtime: Runtime) -> list[Image]:
        return [await register_image(runtime, command)]

    _tell(form, run_with_runtime(in_force.settings, registered))


def _tell(form: Form, images: list[Image]) -> None:
    print_result(form, [_facts(one) for one in images], _HEADINGS, [_row(one) for one in images])


def _facts(one: Image) -> dict[str, object]:
    return {
        **msgspec.structs.asdict(one),
        "host_ids": sorted(map(str, one.host_ids)),
        "registered_at": None if one.ships else to_rfc3339(one.registered_at),
        "ships": one.ships,
    }


def _row(one: Image) -> tuple[str, ...]:
    if one.ships:
        # Each host builds its own: of which size, and under which key, is told nowhere.
        return (one.name, one.boots, one.user_data, str(one.disk_gb_min), "", "all", "ships, built by each host")
    sizes = (str(one.disk_gb_min), f"{one.size_bytes / 1e6:.0f}", str(len(one.host_ids)))
    return (one.name, one.boots, one.user_data, *sizes, one.key)
